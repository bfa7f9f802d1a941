/*
 * site HTTP_PORT ECHO_PORT: the target behind a tunnel, on every address of its network namespace. HTTP_PORT answers
 * every HTTP/1.1 request with two bytes and honours `Connection: close`; ECHO_PORT sends back what it gets, over TCP and
 * over UDP, a datagram from the very address that it was sent to. Prints a line when it listens.
 */
#include "net.h"
#include <sys/uio.h>

#define EVENTS 256
#define MAX_REQUESTS 8192 /* bytes of requests that have not ended */
#define BURST 64
#define DATAGRAM 2048
#define RECEIVE_BUFFER (4 << 20)

enum kind { HTTP, ECHO, DATAGRAMS };

struct connection {
  int fd;
  enum kind kind;
  int is_listener;
  size_t held;
  char *requests; /* HTTP only */
};

static int poller;

static const char KEPT[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
static const char LAST[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

static void accept_all(const struct connection *listener) {
  for (int fd; (fd = accept_next(listener->fd)) >= 0;) {
    struct connection *connection = calloc(1, sizeof *connection);
    *connection = (struct connection){.fd = fd, .kind = listener->kind};
    watch(poller, EPOLL_CTL_ADD, fd, EPOLLIN, connection);
  }
}

static int say(int fd, const char *words, size_t length) {
  return send(fd, words, length, MSG_NOSIGNAL) == (ssize_t)length;
}

/* Answers each request whose head is complete. False when the connection is over. */
static int answer(struct connection *connection) {
  ssize_t count;
  char *head, *tail;
  if (!connection->requests) connection->requests = malloc(MAX_REQUESTS + 1);
  head = connection->requests;
  count = recv(connection->fd, head + connection->held, MAX_REQUESTS - connection->held, 0);
  if (count <= 0) return count < 0 && errno == EAGAIN;
  connection->held += (size_t)count;
  head[connection->held] = 0;
  while ((tail = strstr(head, "\r\n\r\n"))) {
    *tail = 0;
    if (strcasestr(head, "\r\nConnection: close")) {
      say(connection->fd, LAST, sizeof LAST - 1);
      return 0;
    }
    if (!say(connection->fd, KEPT, sizeof KEPT - 1)) return 0;
    head = tail + 4;
  }
  connection->held -= (size_t)(head - connection->requests);
  memmove(connection->requests, head, connection->held);
  return connection->held < MAX_REQUESTS;
}

static int echo(struct connection *connection) {
  char words[4096];
  ssize_t count = recv(connection->fd, words, sizeof words, 0);
  if (count > 0) return say(connection->fd, words, (size_t)count);
  return count < 0 && errno == EAGAIN;
}

/* The address that a datagram came to is handed back with the answer as the address to send from. */
static void echo_datagrams(int fd) {
  static char data[BURST][DATAGRAM];
  static union {
    char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct in_pktinfo))];
    struct cmsghdr aligned;
  } controls[BURST];
  static struct sockaddr_in6 from[BURST];
  static struct iovec parts[BURST];
  static struct mmsghdr messages[BURST];
  int count;
  for (int i = 0; i < BURST; i++) {
    parts[i] = (struct iovec){.iov_base = data[i], .iov_len = DATAGRAM};
    messages[i].msg_hdr = (struct msghdr){.msg_name = &from[i],
                                          .msg_namelen = sizeof from[i],
                                          .msg_iov = &parts[i],
                                          .msg_iovlen = 1,
                                          .msg_control = &controls[i],
                                          .msg_controllen = sizeof controls[i]};
  }
  count = recvmmsg(fd, messages, BURST, MSG_DONTWAIT, NULL);
  for (int i = 0; i < count; i++) {
    struct msghdr *header = &messages[i].msg_hdr;
    parts[i].iov_len = messages[i].msg_len;
    for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control; control = CMSG_NXTHDR(header, control)) {
      if (control->cmsg_level == IPPROTO_IPV6) ((struct in6_pktinfo *)CMSG_DATA(control))->ipi6_ifindex = 0;
      if (control->cmsg_level == IPPROTO_IP) ((struct in_pktinfo *)CMSG_DATA(control))->ipi_ifindex = 0;
    }
  }
  for (int sent = 0, now_sent; sent < count; sent += now_sent)
    if ((now_sent = sendmmsg(fd, messages + sent, (unsigned)(count - sent), 0)) <= 0) now_sent = 1; /* That one is lost. */
}

static struct connection *open_port(enum kind kind, int port) {
  struct connection *own = calloc(1, sizeof *own);
  int on = 1, size = RECEIVE_BUFFER;
  *own = (struct connection){.kind = kind, .is_listener = 1};
  own->fd = listen_everywhere(kind == DATAGRAMS ? SOCK_DGRAM : SOCK_STREAM, port);
  if (kind == DATAGRAMS) {
    setsockopt(own->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
    setsockopt(own->fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
    if (setsockopt(own->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size))
      setsockopt(own->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  }
  watch(poller, EPOLL_CTL_ADD, own->fd, EPOLLIN, own);
  return own;
}

int main(int count, char **arguments) {
  if (count != 3) die("usage: site HTTP_PORT ECHO_PORT");
  prepare();
  poller = epoll_create1(EPOLL_CLOEXEC);
  open_port(HTTP, atoi(arguments[1]));
  open_port(ECHO, atoi(arguments[2]));
  open_port(DATAGRAMS, atoi(arguments[2]));
  puts("listening");
  fflush(stdout);
  for (;;) {
    struct epoll_event events[EVENTS];
    int ready = epoll_wait(poller, events, EVENTS, -1);
    for (int i = 0; i < ready; i++) {
      struct connection *connection = events[i].data.ptr;
      if (connection->kind == DATAGRAMS) echo_datagrams(connection->fd);
      else if (connection->is_listener) accept_all(connection);
      else if (!(connection->kind == HTTP ? answer(connection) : echo(connection))) {
        close(connection->fd);
        free(connection->requests);
        free(connection);
      }
    }
  }
}
