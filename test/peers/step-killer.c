/*
 * Preloaded into the privileged helper as it is shipped (ld.so(8), /etc/ld.so.preload of a test's own /etc): kills it, its
 * guardian or its engine after the n-th call that changes something, so that a test can go through all of them.
 *
 * /run/steps has lines `worker|main N self|both|engine`: who counts (the process that serves, or the first one, which guards
 * it or cleans up), after how many calls, and who is killed then. The call is written to /run/steps.hit.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int active;
static pid_t first, engine, counting;
static int count;

__attribute__((constructor)) static void begin(void) {
  char self[256];
  ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
  self[size < 0 ? 0 : size] = 0;
  const char *name = strrchr(self, '/');
  active = name != NULL && strcmp(name, "/sockeye-helper") == 0;
  first = getpid();
  engine = getppid();
}

/** Something was changed by `what`. */
static void step(const char *what) {
  if (!active) return;
  const char *role = getpid() == first ? "main" : "worker";
  if (counting != getpid()) count = 0;
  counting = getpid();
  count++;
  FILE *file = fopen("/run/steps", "re");
  if (file == NULL) return;
  char who[16], victim[16];
  int at, hit = 0;
  while (!hit && fscanf(file, "%15s %d %15s", who, &at, victim) == 3) hit = strcmp(who, role) == 0 && at == count;
  fclose(file);
  if (!hit) return;
  char line[64];
  int length = snprintf(line, sizeof line, "%s %d: %s\n", role, count, what);
  int marker = (int)syscall(SYS_openat, AT_FDCWD, "/run/steps.hit", O_WRONLY | O_CREAT | O_APPEND, 0600);
  syscall(SYS_write, marker, line, (size_t)length);
  syscall(SYS_close, marker);
  if (strcmp(victim, "engine") == 0) {
    kill(engine, SIGKILL);
    return;
  }
  /* The guardian first, so that it can't see the worker end. */
  if (strcmp(victim, "both") == 0) kill(first, SIGKILL);
  kill(getpid(), SIGKILL);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int open(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  int result = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
  if (flags & (O_CREAT | O_TRUNC)) step("open");
  return result;
}

ssize_t write(int file, const void *bytes, size_t size) {
  ssize_t result = syscall(SYS_write, file, bytes, size);
  if (file != STDERR_FILENO) step("write");
  return result;
}

int rename(const char *from, const char *to) {
  int result = REAL(rename)(from, to);
  step("rename");
  return result;
}

int unlink(const char *path) {
  int result = REAL(unlink)(path);
  if (result == 0) step("unlink");
  return result;
}

int mkdir(const char *path, mode_t mode) {
  int result = REAL(mkdir)(path, mode);
  if (result == 0) step("mkdir");
  return result;
}

int fchown(int file, uid_t user, gid_t group) {
  int result = REAL(fchown)(file, user, group);
  step("fchown");
  return result;
}

int fchmod(int file, mode_t mode) {
  int result = REAL(fchmod)(file, mode);
  step("fchmod");
  return result;
}

int ftruncate(int file, off_t size) {
  int result = REAL(ftruncate)(file, size);
  step("ftruncate");
  return result;
}

int ioctl(int file, unsigned long request, ...) {
  va_list rest;
  va_start(rest, request);
  void *argument = va_arg(rest, void *);
  va_end(rest);
  int result = (int)syscall(SYS_ioctl, file, request, argument);
  if (request == TUNSETIFF) step("ioctl");
  return result;
}

/** Netlink: what only asks is no step. */
ssize_t send(int socket, const void *bytes, size_t size, int flags) {
  ssize_t result = REAL(send)(socket, bytes, size, flags);
  static const char *const kinds[] = {"new", "delete", "get", "set"};
  int kind = (((const struct nlmsghdr *)bytes)->nlmsg_type - RTM_BASE) % 4;
  if (kind != 2) step(kinds[kind]);
  return result;
}

/** An answer to the engine. */
ssize_t sendmsg(int socket, const struct msghdr *message, int flags) {
  ssize_t result = REAL(sendmsg)(socket, message, flags);
  step("answer");
  return result;
}
