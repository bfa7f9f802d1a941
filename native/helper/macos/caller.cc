// Who asks, as macOS tells it. Written against Apple's headers; not yet compiled or run.
#include <grp.h>
#include <membership.h>
#include <sys/socket.h>
#include <sys/ucred.h>
#include <sys/un.h>
#include <uuid/uuid.h>

#include "privilege.h"

namespace sockeye {

/** macOS has no capabilities to give up: routes, the device and the dynamic store all ask for root. */
std::string confine() { return ""; }

bool mayAsk(int client, Caller& who) {
  who = Caller();
  xucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(client, SOL_LOCAL, LOCAL_PEERCRED, &peer, &size) != 0 || peer.cr_version != XUCRED_VERSION) return false;
  who.user = peer.cr_uid;
  size = sizeof who.process;
  // For the log only.
  if (getsockopt(client, SOL_LOCAL, LOCAL_PEERPID, &who.process, &size) != 0) who.process = 0;
  if (who.user == 0) return true;
  const group* allowed = getgrnam(kGroup);
  if (allowed == nullptr) return false;
  // A process carries 16 groups at most here, so the user's membership is what counts.
  uuid_t user, members;
  int isMember = 0;
  return mbr_uid_to_uuid(who.user, user) == 0 && mbr_gid_to_uuid(allowed->gr_gid, members) == 0 &&
         mbr_check_membership(user, members, &isMember) == 0 && isMember != 0;
}

}  // namespace sockeye
