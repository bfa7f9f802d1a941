// Which name servers the machine's programs ask: an entry of ours in the dynamic store of SystemConfiguration, for the names that
// we are to be asked for, or for all. The store forgets it when this process ends, however it ends. Not yet compiled or run.
#ifndef SOCKEYE_DNS_H
#define SOCKEYE_DNS_H

#include <string>

#include "frames.h"

namespace sockeye {

/** Replaces our entry. @returns "" or what went wrong. */
std::string setDns(const Dns& dns);

/** Removes our entry, of this process or another, and reads back. @returns "" or what could not be undone. */
std::string restoreDns();

}  // namespace sockeye

#endif
