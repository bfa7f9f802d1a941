/*
 * origin: the local service that a relay publishes. One port speaks HTTP/1.1: `GET /bytes/N` is answered with a body of N bytes,
 * a request with a body is answered when the whole of it has come, all else at once with two bytes; `Connection: close` is
 * honoured. Another port sends back what it gets. Prints both as one line of JSON.
 */
#include "net.h"

#define CHUNK (256 * 1024)
#define EVENTS 256
#define MAX_HEAD 8192 /* bytes of requests that have not ended */

enum kind { HTTP, ECHO, KINDS };

struct connection {
  int fd;
  enum kind kind;
  int is_listener;
  uint32_t wanted;
  char *head; /* HTTP only */
  size_t held;
  unsigned long long to_read; /* of a request's body */
  unsigned long long to_send; /* of an answer's body */
  int is_reading_body, is_last;
};

static int poller;
static char chunk[CHUNK];

static int say(struct connection *connection, const char *words, size_t length) {
  /* One small answer at a time is on its way, so the socket has room for it. */
  return send(connection->fd, words, length, MSG_NOSIGNAL) == (ssize_t)length;
}

static int answer(struct connection *connection, unsigned long long length) {
  char head[128];
  int bytes = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n%s\r\n%s", length ? length : 2ull,
                       connection->is_last ? "Connection: close\r\n" : "", length ? "" : "ok");
  connection->to_send = length;
  return say(connection, head, (size_t)bytes);
}

/* Sends as much of a body as goes. False when the connection is over. */
static int pour(struct connection *connection) {
  while (connection->to_send) {
    size_t length = connection->to_send < CHUNK ? (size_t)connection->to_send : CHUNK;
    ssize_t count = send(connection->fd, chunk, length, MSG_NOSIGNAL);
    if (count < 0) return errno == EAGAIN;
    connection->to_send -= (size_t)count;
  }
  return !connection->is_last;
}

/* Answers the requests whose heads are complete. False when the connection is over. */
static int serve_heads(struct connection *connection) {
  char *head = connection->head, *tail;
  head[connection->held] = 0;
  while (!connection->to_send && (tail = strstr(head, "\r\n\r\n"))) {
    char *length, *bytes;
    *tail = 0;
    connection->is_last = strcasestr(head, "\r\nConnection: close") != NULL;
    length = strcasestr(head, "\r\nContent-Length:");
    bytes = strncmp(head, "GET /bytes/", 11) ? NULL : head + 11;
    head = tail + 4;
    if (length && (connection->to_read = strtoull(length + 17, NULL, 10))) {
      size_t here = connection->held - (size_t)(head - connection->head);
      connection->to_read -= here < connection->to_read ? here : connection->to_read;
      connection->held = 0;
      if (connection->to_read) return connection->is_reading_body = 1;
      return answer(connection, 0) && !connection->is_last;
    }
    if (!answer(connection, bytes ? strtoull(bytes, NULL, 10) : 0)) return 0;
    if (!pour(connection)) return 0;
  }
  connection->held -= (size_t)(head - connection->head);
  memmove(connection->head, head, connection->held);
  return connection->held < MAX_HEAD;
}

static int read_body(struct connection *connection) {
  /* MSG_TRUNC: the kernel throws the bytes away, so that swallowing costs as little as can be. */
  ssize_t count = recv(connection->fd, NULL, connection->to_read < (4u << 20) ? (size_t)connection->to_read : 4u << 20, MSG_TRUNC);
  if (count <= 0) return count < 0 && errno == EAGAIN;
  connection->to_read -= (size_t)count;
  if (connection->to_read) return 1;
  connection->is_reading_body = 0;
  return answer(connection, 0) && !connection->is_last;
}

static int serve(struct connection *connection, uint32_t events) {
  ssize_t count;
  if (connection->kind == ECHO) {
    char words[4096];
    count = recv(connection->fd, words, sizeof words, 0);
    if (count > 0) return say(connection, words, (size_t)count);
    return count < 0 && errno == EAGAIN;
  }
  if (events & EPOLLOUT && !pour(connection)) return 0;
  if (!(events & ~(uint32_t)EPOLLOUT)) return connection->to_send || serve_heads(connection);
  if (connection->is_reading_body) return read_body(connection);
  count = recv(connection->fd, connection->head + connection->held, MAX_HEAD - connection->held, 0);
  if (count <= 0) return count < 0 && errno == EAGAIN;
  connection->held += (size_t)count;
  return serve_heads(connection);
}

static void accept_all(const struct connection *listener) {
  for (int fd; (fd = accept_next(listener->fd)) >= 0;) {
    struct connection *connection = calloc(1, sizeof *connection);
    *connection = (struct connection){.fd = fd, .kind = listener->kind, .wanted = EPOLLIN};
    if (listener->kind == HTTP) connection->head = malloc(MAX_HEAD + 1);
    watch(poller, EPOLL_CTL_ADD, fd, EPOLLIN, connection);
  }
}

int main(void) {
  static struct connection listeners[KINDS];
  int ports[KINDS];
  prepare();
  poller = epoll_create1(EPOLL_CLOEXEC);
  for (int kind = 0; kind < KINDS; kind++) {
    listeners[kind] = (struct connection){.is_listener = 1, .fd = listen_free(&ports[kind]), .kind = kind};
    watch(poller, EPOLL_CTL_ADD, listeners[kind].fd, EPOLLIN, &listeners[kind]);
  }
  printf("{\"http\":%d,\"echo\":%d}\n", ports[HTTP], ports[ECHO]);
  fflush(stdout);
  for (;;) {
    struct epoll_event events[EVENTS];
    int ready = epoll_wait(poller, events, EVENTS, -1);
    for (int i = 0; i < ready; i++) {
      struct connection *connection = events[i].data.ptr;
      uint32_t wanted;
      if (connection->is_listener) {
        accept_all(connection);
        continue;
      }
      if (!serve(connection, events[i].events)) {
        close(connection->fd);
        free(connection->head);
        free(connection);
        continue;
      }
      wanted = connection->to_send ? EPOLLOUT : EPOLLIN;
      if (wanted == connection->wanted) continue;
      connection->wanted = wanted;
      watch(poller, EPOLL_CTL_MOD, connection->fd, wanted, connection);
    }
  }
}
