/*
 * serve: the target behind everything that is measured. Three ports: echo sends back what it gets, sink swallows,
 * source sends without end. A fourth tells how many bytes the sinks have swallowed, as a decimal line, for only the
 * receiving end knows what arrived. Prints its ports as one line of JSON.
 */
#include "net.h"

#define CHUNK (256 * 1024)
#define EVENTS 256

enum kind { ECHO, SINK, SOURCE, COUNT, KINDS };

struct listener {
  int is_listener; /* 1; a connection has 0 here */
  int fd;
  enum kind kind;
};

struct connection {
  int is_listener;
  int fd;
  enum kind kind;
};

static int poller;
static char chunk[CHUNK];
static unsigned long long swallowed;

static void end(struct connection *connection) {
  close(connection->fd);
  free(connection);
}

static void accept_all(struct listener *listener) {
  for (int fd; (fd = accept_next(listener->fd)) >= 0;) {
    if (listener->kind == COUNT) {
      char line[32];
      int length = snprintf(line, sizeof line, "%llu\n", swallowed);
      if (write(fd, line, (size_t)length) != length) fprintf(stderr, "serve: a count was lost\n");
      close(fd);
      continue;
    }
    struct connection *connection = calloc(1, sizeof *connection);
    connection->fd = fd;
    connection->kind = listener->kind;
    watch(poller, EPOLL_CTL_ADD, fd, listener->kind == SOURCE ? EPOLLOUT | EPOLLRDHUP : EPOLLIN, connection);
  }
}

/* False once the connection has ended. */
static int serve(struct connection *connection, uint32_t events) {
  ssize_t count;
  switch (connection->kind) {
  case SOURCE:
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) return 0;
    count = send(connection->fd, chunk, CHUNK, MSG_NOSIGNAL);
    return count >= 0 || errno == EAGAIN;
  case SINK:
    /* MSG_TRUNC: the kernel throws the bytes away, so that the sink costs as little as can be. */
    count = recv(connection->fd, NULL, 4 << 20, MSG_TRUNC);
    if (count > 0) swallowed += (unsigned long long)count;
    return count > 0 || (count < 0 && errno == EAGAIN);
  default:
    /* One small message at a time is in flight, so the socket always has room for the answer. */
    count = recv(connection->fd, chunk, 4096, 0);
    if (count > 0) return send(connection->fd, chunk, (size_t)count, MSG_NOSIGNAL) == count;
    return count < 0 && errno == EAGAIN;
  }
}

int main(void) {
  static struct listener listeners[KINDS];
  int ports[KINDS];
  prepare();
  poller = epoll_create1(EPOLL_CLOEXEC);
  for (int kind = 0; kind < KINDS; kind++) {
    listeners[kind] = (struct listener){.is_listener = 1, .fd = listen_free(&ports[kind]), .kind = kind};
    watch(poller, EPOLL_CTL_ADD, listeners[kind].fd, EPOLLIN, &listeners[kind]);
  }
  printf("{\"echo\":%d,\"sink\":%d,\"source\":%d,\"count\":%d}\n", ports[ECHO], ports[SINK], ports[SOURCE], ports[COUNT]);
  fflush(stdout);
  for (;;) {
    struct epoll_event events[EVENTS];
    int count = epoll_wait(poller, events, EVENTS, -1);
    for (int i = 0; i < count; i++) {
      struct listener *listener = events[i].data.ptr;
      if (listener->is_listener) accept_all(listener);
      else if (!serve((struct connection *)listener, events[i].events)) end((struct connection *)listener);
    }
  }
}
