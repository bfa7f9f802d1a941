// The name servers that the machine's programs ask.
//
// Where systemd-resolved answers for this machine, it is told per link, and forgets it with the link. Elsewhere
// /etc/resolv.conf is rewritten. Its journal is two files in the state folder, both there before it is touched: the original,
// with its mode and owner, and what was written instead. It is put back only where it still is what we wrote.
#ifndef SOCKEYE_DNS_H
#define SOCKEYE_DNS_H

#include <string>

#include "frames.h"
#include "journal.h"

namespace sockeye {

/** Which of the two this machine uses. */
DnsWay dnsWay();

/** Points the link, or the machine, at the servers. The journal is written first. @returns "", or what went wrong. */
std::string setDns(const Dns& dns, DnsWay way, Journal& journal);

/** Whether there is something to restore. */
bool isDnsSet(const Journal& journal);

/** Undoes setDns(), of this process or another, and reads back. @returns "", or what could not be undone. */
std::string restoreDns(Journal& journal);

}  // namespace sockeye

#endif
