// Who may ask, who is served now, and how little of root's power this process keeps.
#ifndef SOCKEYE_PRIVILEGE_H
#define SOCKEYE_PRIVILEGE_H

#include <sys/types.h>

#include <string>

namespace sockeye {

/** The group whose members' processes may ask a listening helper, from the moment their user has joined. */
constexpr char kGroup[] = "sockeye";

/** Who is at the other end of a connection, by the kernel's word. */
struct Caller {
  pid_t process = 0;
  uid_t user = static_cast<uid_t>(-1);
};

/**
 * Gives up every capability but those for the network's settings and for /etc/resolv.conf, for this process and whatever it
 * starts. macOS has nothing of the kind. @returns "" or why it could not.
 */
std::string confine();

/** @returns true for root, for a process that carries the group, and for a member of it; `who` is filled in either way. */
bool mayAsk(int client, Caller& who);

/**
 * One helper serves at a time, whichever way it was started. Held until the descriptor is closed, in forked processes too.
 * With `patient`, one that is just ending is waited for, 2 seconds at most.
 * @returns the lock's descriptor; or -1, with `problem` saying who holds it or what failed.
 */
int takeLock(const Caller& who, bool patient, std::string& problem);

}  // namespace sockeye

#endif
