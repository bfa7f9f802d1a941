#include "privilege.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "files.h"

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

bool mayAsk(int client, ucred& who) {
  who = {0, static_cast<uid_t>(-1), static_cast<gid_t>(-1)};
  socklen_t size = sizeof who;
  if (getsockopt(client, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return false;
  if (who.uid == 0) return true;
  const group* allowed = getgrnam(kGroup);
  if (allowed == nullptr) return false;
  if (who.gid == allowed->gr_gid) return true;
  // The groups that the process had when it connected, by the kernel's word.
  std::vector<gid_t> groups(65'536);
  size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
  if (getsockopt(client, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) != 0) return false;
  groups.resize(size / sizeof(gid_t));
  for (const gid_t each : groups)
    if (each == allowed->gr_gid) return true;
  return false;
}

int takeLock(const ucred& who, bool patient, std::string& problem) {
  if (const int error = makeFolder(kRunFolder)) {
    problem = std::string(kRunFolder) + ": " + std::strerror(error);
    return -1;
  }
  const std::string path = std::string(kRunFolder) + "/lock";
  const int lock = open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (lock < 0) {
    problem = path + ": " + std::strerror(errno);
    return -1;
  }
  int attempts = patient ? 100 : 1;
  while (flock(lock, LOCK_EX | LOCK_NB) != 0 && --attempts > 0) usleep(20'000);
  if (attempts == 0) {
    char holder[64] = "";
    if (read(lock, holder, sizeof holder - 1) < 0) holder[0] = 0;
    problem = std::string("TUN mode is in use already, by ") + (holder[0] == 0 ? "another client" : holder);
    close(lock);
    return -1;
  }
  const std::string holder = "process " + std::to_string(who.pid) + " of user " + std::to_string(who.uid);
  if (ftruncate(lock, 0) != 0 || write(lock, holder.data(), holder.size()) < 0) {
    problem = path + ": " + std::strerror(errno);
    close(lock);
    return -1;
  }
  return lock;
}

}  // namespace sockeye
