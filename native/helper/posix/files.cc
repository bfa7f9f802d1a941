#include "files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace sockeye {
namespace {

int writeAll(int file, const std::string& content) {
  for (size_t at = 0; at < content.size();) {
    const ssize_t wrote = write(file, content.data() + at, content.size() - at);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return errno;
    at += static_cast<size_t>(wrote);
  }
  return fsync(file) == 0 ? 0 : errno;
}

/** What is to take the place of a file, until it is whole. */
std::string unfinished(const std::string& path) { return path + ".sockeye-new"; }

int syncFolderOf(const std::string& path) {
  const std::string folder = path.substr(0, path.rfind('/'));
  const int file = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0) return errno;
  const int error = fsync(file) == 0 ? 0 : errno;
  close(file);
  return error;
}

}  // namespace

int makeFolder(const char* path) {
  if (mkdir(path, 0755) != 0 && errno != EEXIST) return errno;
  struct stat found;
  if (lstat(path, &found) != 0) return errno;
  const bool ours = S_ISDIR(found.st_mode) && found.st_uid == 0 && (found.st_mode & (S_IWGRP | S_IWOTH)) == 0;
  return ours ? 0 : EPERM;
}

int readFile(const char* path, std::string& content, Attributes* attributes) {
  content.clear();
  const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return errno;
  struct stat found;
  int error = fstat(file, &found) == 0 ? 0 : errno;
  if (error == 0 && !S_ISREG(found.st_mode)) error = EINVAL;
  char buffer[4096];
  while (error == 0) {
    const ssize_t got = read(file, buffer, sizeof buffer);
    if (got < 0) error = errno;
    if (got <= 0) break;
    content.append(buffer, static_cast<size_t>(got));
    if (content.size() > kMaxFile) error = EFBIG;
  }
  close(file);
  if (attributes != nullptr) *attributes = {static_cast<mode_t>(found.st_mode & 07777), found.st_uid, found.st_gid};
  return error;
}

int replaceFile(const std::string& path, const std::string& content, const Attributes& attributes) {
  const std::string next = unfinished(path);
  unlink(next.c_str());
  const int file = open(next.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (file < 0) return errno;
  int error = writeAll(file, content);
  if (error == 0 && fchown(file, attributes.user, attributes.group) != 0) error = errno;
  if (error == 0 && fchmod(file, attributes.mode) != 0) error = errno;
  close(file);
  if (error == 0 && rename(next.c_str(), path.c_str()) != 0) error = errno;
  if (error != 0) {
    unlink(next.c_str());
    return error;
  }
  return syncFolderOf(path);
}

int overwriteFile(const char* path, const std::string& content) {
  const int file = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
  if (file < 0) return errno;
  const int error = writeAll(file, content);
  close(file);
  return error;
}

int removeFile(const std::string& path) {
  unlink(unfinished(path).c_str());
  if (unlink(path.c_str()) != 0) return errno == ENOENT ? 0 : errno;
  return syncFolderOf(path);
}

void removeUnfinished(const std::string& path) { unlink(unfinished(path).c_str()); }

}  // namespace sockeye
