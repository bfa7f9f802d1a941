/* Sockets on loopback for the load programs: non-blocking, without Nagle, with every descriptor the system allows. */
#ifndef SOCKEYE_NET_H
#define SOCKEYE_NET_H
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

static inline void die(const char *what, ...) {
  va_list arguments;
  va_start(arguments, what);
  vfprintf(stderr, what, arguments);
  va_end(arguments);
  fprintf(stderr, errno ? ": %s\n" : "\n", strerror(errno));
  exit(1);
}

static inline double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

/* What every load program does first. */
static inline void prepare(void) {
  struct rlimit limit;
  signal(SIGPIPE, SIG_IGN);
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

static inline void tune(int fd) {
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static inline struct sockaddr_in loopback(int port, int last_byte) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(0x7f000000u | (uint32_t)last_byte);
  return address;
}

/* Listens on *port of 127.0.0.last_byte; on a free one where that is 0, and tells which. */
static inline int listen_at(int *port, int last_byte) {
  struct sockaddr_in address = loopback(*port, last_byte);
  socklen_t length = sizeof address;
  int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096)) die("listen");
  if (getsockname(fd, (struct sockaddr *)&address, &length)) die("getsockname");
  *port = ntohs(address.sin_port);
  return fd;
}

/* Listens on a free port of 127.0.0.1 and tells which in *port. */
static inline int listen_free(int *port) {
  *port = 0;
  return listen_at(port, 1);
}

/* Listens on a port of every address, of both families where the system has both. */
static inline int listen_everywhere(int kind, int port) {
  struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
  struct sockaddr_in address4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  int on = 1, off = 0, fd = socket(AF_INET6, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), is_four = fd < 0;
  if (is_four) fd = socket(AF_INET, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (!is_four) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (is_four ? bind(fd, (struct sockaddr *)&address4, sizeof address4) : bind(fd, (struct sockaddr *)&address, sizeof address))
    die("bind to port %d", port);
  if (kind == SOCK_STREAM && listen(fd, 4096)) die("listen");
  return fd;
}

/* Begins to connect. Sources take turns, so that closed connections in TIME-WAIT do not use up one address's ports. */
static inline int connect_begin(int port) {
  static int turn;
  int on = 1;
  struct sockaddr_in source = loopback(0, 1 + turn++ % 16), target = loopback(port, 1);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  tune(fd);
  if (bind(fd, (struct sockaddr *)&source, sizeof source) == 0 &&
      (connect(fd, (struct sockaddr *)&target, sizeof target) == 0 || errno == EINPROGRESS))
    return fd;
  close(fd);
  return -1;
}

static inline int accept_next(int listener) {
  int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd >= 0) tune(fd);
  return fd;
}

static inline void watch(int poller, int operation, int fd, uint32_t events, void *owner) {
  struct epoll_event event = {.events = events, .data.ptr = owner};
  if (epoll_ctl(poller, operation, fd, &event)) die("epoll_ctl");
}

#endif
