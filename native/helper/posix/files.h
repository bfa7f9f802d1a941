// Small files that are whole or absent, whatever is killed when.
#ifndef SOCKEYE_FILES_H
#define SOCKEYE_FILES_H

#include <sys/types.h>

#include <string>

namespace sockeye {

/** Of this boot: the journal, the lock and the socket. */
#ifdef __APPLE__
constexpr char kRunFolder[] = "/var/run/sockeye";
#else
constexpr char kRunFolder[] = "/run/sockeye";
/** Of longer life: what is needed to put /etc/resolv.conf back. */
constexpr char kStateFolder[] = "/var/lib/sockeye";
#endif
/** Larger files are not ours to read or keep; macOS' journal has routes. */
#ifdef __APPLE__
constexpr size_t kMaxFile = 256 * 1024;
#else
constexpr size_t kMaxFile = 64 * 1024;
#endif

struct Attributes {
  mode_t mode;
  uid_t user;
  gid_t group;
};

/** Makes one of our folders, which must be root's alone to write. @returns 0 or an errno. */
int makeFolder(const char* path);
/** @returns 0 or an errno; EFBIG above kMaxFile. Follows a link. */
int readFile(const char* path, std::string& content, Attributes* attributes = nullptr);
/** Puts a file in place in one step, on disk before it returns. @returns 0 or an errno. */
int replaceFile(const std::string& path, const std::string& content, const Attributes& attributes);
/** Overwrites a file where it is, through a link or on a mount. Until it returns, readers may find its beginning only. */
int overwriteFile(const char* path, const std::string& content);
/** Gone, on disk too, and with it what replaceFile() left where it was killed. A file that is not there is gone. */
int removeFile(const std::string& path);
/** Removes what replaceFile() left where it was killed, and nothing else. */
void removeUnfinished(const std::string& path);

}  // namespace sockeye

#endif
