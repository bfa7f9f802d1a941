#include "privilege.h"

#include <grp.h>
#include <pwd.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace sockeye {

std::string confine() {
  // The network; and a resolv.conf that belongs to somebody else, kept with its owner.
  uint32_t kept = 0;
  for (const int each : {CAP_NET_ADMIN, CAP_CHOWN, CAP_FOWNER, CAP_DAC_OVERRIDE}) kept |= uint32_t{1} << each;
  for (int each = 0; prctl(PR_CAPBSET_READ, each) >= 0; each++)
    if ((each >= 32 || (kept >> each & 1) == 0) && prctl(PR_CAPBSET_DROP, each) != 0) return std::strerror(errno);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {{kept, kept, 0}, {0, 0, 0}};
  if (syscall(SYS_capset, &header, data) != 0) return std::strerror(errno);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return std::strerror(errno);
  return "";
}

bool mayAsk(int client, Caller& who) {
  who = Caller();
  ucred peer;
  socklen_t size = sizeof peer;
  if (getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  who = {peer.pid, peer.uid};
  if (who.user == 0) return true;
  const group* allowed = getgrnam(kGroup);
  if (allowed == nullptr) return false;
  if (peer.gid == allowed->gr_gid) return true;
  // The groups that the process had when it connected, by the kernel's word.
  std::vector<gid_t> groups(65'536);
  size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
  if (getsockopt(client, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) != 0) return false;
  groups.resize(size / sizeof(gid_t));
  for (const gid_t each : groups)
    if (each == allowed->gr_gid) return true;
  // A process that was started before its user joined does not carry the group; its next login's would.
  const passwd* user = getpwuid(peer.uid);
  for (char** member = allowed->gr_mem; user != nullptr && *member != nullptr; member++)
    if (std::strcmp(*member, user->pw_name) == 0) return true;
  return false;
}

}  // namespace sockeye
