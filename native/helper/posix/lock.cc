#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "files.h"
#include "privilege.h"

namespace sockeye {

int takeLock(const Caller& who, bool patient, std::string& problem) {
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
  const std::string holder = "process " + std::to_string(who.process) + " of user " + std::to_string(who.user);
  if (ftruncate(lock, 0) != 0 || write(lock, holder.data(), holder.size()) < 0) {
    problem = path + ": " + std::strerror(errno);
    close(lock);
    return -1;
  }
  return lock;
}

}  // namespace sockeye
