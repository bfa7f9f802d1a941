/*
 * Preloaded into a Node process (ld.so(8)): a kernel that has less offload for TUN devices than ours. REFUSES says which:
 *
 *   segments  TUNSETOFFLOAD with TSO is EINVAL, as before Linux 2.6.27
 *   all       TUNSETOFFLOAD is EINVAL, whatever is asked for
 *   cutting   a packet that is to be cut is EINVAL when it is written
 *
 * In the end it prints how often it refused.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/if_tun.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

static int refuses(const char *what) {
  const char *refused = getenv("REFUSES");
  return refused != NULL && strcmp(refused, what) == 0;
}

static int tun = -1;
static int refusals;

static int refuse(void) {
  refusals++;
  errno = EINVAL;
  return -1;
}

/* The last line that the process prints. */
__attribute__((destructor)) static void end(void) { dprintf(STDOUT_FILENO, "%d\n", refusals); }

int ioctl(int descriptor, unsigned long request, ...) {
  static int (*next)(int, unsigned long, unsigned long);
  if (next == NULL) next = (int (*)(int, unsigned long, unsigned long))dlsym(RTLD_NEXT, "ioctl");
  va_list rest;
  va_start(rest, request);
  const unsigned long argument = va_arg(rest, unsigned long);
  va_end(rest);
  if (request == TUNSETOFFLOAD) {
    tun = descriptor;
    const int unwanted = refuses("all") || (refuses("segments") && (argument & (TUN_F_TSO4 | TUN_F_TSO6)) != 0);
    if (unwanted) return refuse();
  }
  return next(descriptor, request, argument);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
  static ssize_t (*next)(int, const struct iovec *, int);
  if (next == NULL) next = (ssize_t (*)(int, const struct iovec *, int))dlsym(RTLD_NEXT, "writev");
  /* The second byte of the header before a packet is how it is to be cut; 0 is not at all. */
  if (descriptor == tun && refuses("cutting") && count > 0 && ((const unsigned char *)parts[0].iov_base)[1] != 0)
    return refuse();
  return next(descriptor, parts, count);
}
