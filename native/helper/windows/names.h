// Which name servers the machine's programs ask: rules of the name resolution policy table (NRPT), for the names that we are
// to be asked for, or for all. No adapter's own servers are changed. The rules' names say that they are ours, so they are a
// journal by themselves. Compiled with MinGW-w64; not yet run.
#ifndef SOCKEYE_NAMES_H
#define SOCKEYE_NAMES_H

#include <string>

#include "frames.h"

namespace sockeye {

/** Replaces our rules. @returns "" or what went wrong. */
std::string setNames(const Dns& dns);

/** Removes our rules, of this process or another, and reads back. @returns "" or what could not be undone. */
std::string restoreNames();

}  // namespace sockeye

#endif
