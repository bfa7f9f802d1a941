/*
 * upstream: a proxy that costs as little as can be, so that what stands before it is what gets measured. One port
 * speaks SOCKS5 (RFC 1928: no authentication, CONNECT to an IPv4 address) and HTTP CONNECT (RFC 9110 §9.3.6) to
 * loopback. Half-close is preserved. Prints its port as one line of JSON.
 */
#include "net.h"

#define CHUNK (256 * 1024)
#define MAX_HEAD 1024
#define EVENTS 256

enum stage { GREETING, REQUEST, CONNECTING, OPEN };

struct end {
  int fd; /* -1: not there yet */
  uint32_t wanted;
  int has_ended, has_shut;
  char *left; /* what the other end did not take yet */
  size_t left_start, left_end;
  struct pair *pair;
};

struct pair {
  struct end ends[2]; /* the application's, the target's */
  enum stage stage;
  int is_http, is_dead;
  size_t head_length;
  char head[MAX_HEAD];
  struct pair *next_dead;
};

static int poller;
static struct pair *dead;
static char scratch[CHUNK];

static void kill_pair(struct pair *pair) {
  if (pair->is_dead) return;
  pair->is_dead = 1;
  for (int i = 0; i < 2; i++)
    if (pair->ends[i].fd >= 0) close(pair->ends[i].fd);
  pair->next_dead = dead;
  dead = pair;
}

static void want(struct end *end, uint32_t events) {
  if (end->wanted == events) return;
  end->wanted = events;
  watch(poller, EPOLL_CTL_MOD, end->fd, events, end);
}

static void say(struct pair *pair, const char *text, size_t length) {
  if (send(pair->ends[0].fd, text, length, MSG_NOSIGNAL) != (ssize_t)length) kill_pair(pair);
}

static void connect_target(struct pair *pair, int port) {
  struct end *target = &pair->ends[1];
  target->fd = connect_begin(port);
  if (target->fd < 0) return kill_pair(pair);
  pair->stage = CONNECTING;
  target->wanted = EPOLLOUT;
  watch(poller, EPOLL_CTL_ADD, target->fd, EPOLLOUT, target);
  want(&pair->ends[0], 0);
}

/* Takes the application's words until they name a target. A client speaks only when it has been answered, but for HTTP's
 * head, so no byte of payload comes with the request. */
static void read_head(struct pair *pair) {
  ssize_t count = recv(pair->ends[0].fd, pair->head + pair->head_length, MAX_HEAD - 1 - pair->head_length, 0);
  if (count <= 0) {
    if (count == 0 || errno != EAGAIN) kill_pair(pair);
    return;
  }
  pair->head_length += (size_t)count;
  unsigned char *head = (unsigned char *)pair->head;
  head[pair->head_length] = 0;
  if (head[0] != 5) {
    char *colon = strchr(pair->head, ':');
    if (strncmp(pair->head, "CONNECT ", 8) || pair->head_length == MAX_HEAD - 1) return kill_pair(pair);
    if (!colon || !strstr(pair->head, "\r\n\r\n")) return;
    pair->is_http = 1;
    return connect_target(pair, atoi(colon + 1));
  }
  if (pair->stage == GREETING) {
    if (pair->head_length < 2 || pair->head_length < 2u + head[1]) return;
    pair->head_length = 0;
    pair->stage = REQUEST;
    return say(pair, "\5\0", 2);
  }
  if (pair->head_length < 10) return;
  if (head[1] != 1 || head[3] != 1) return kill_pair(pair);
  connect_target(pair, head[8] << 8 | head[9]);
}

static void finish_connect(struct pair *pair) {
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(pair->ends[1].fd, SOL_SOCKET, SO_ERROR, &error, &length);
  if (error) return kill_pair(pair);
  pair->stage = OPEN;
  want(&pair->ends[0], EPOLLIN);
  want(&pair->ends[1], EPOLLIN);
  if (pair->is_http) say(pair, "HTTP/1.1 200 OK\r\n\r\n", 19);
  else say(pair, "\5\0\0\1\0\0\0\0\0\0", 10);
}

static void finish_direction(struct end *from, struct end *to) {
  if (!from->has_ended || from->left || to->has_shut) return;
  to->has_shut = 1;
  shutdown(to->fd, SHUT_WR);
  if (from->has_shut) kill_pair(from->pair);
}

/* Writes what waited for `to`. */
static void flush(struct end *from, struct end *to) {
  if (!from->left) return;
  ssize_t count = send(to->fd, from->left + from->left_start, from->left_end - from->left_start, MSG_NOSIGNAL);
  if (count < 0 && errno != EAGAIN) return kill_pair(from->pair);
  if (count > 0) from->left_start += (size_t)count;
  if (from->left_start < from->left_end) return;
  free(from->left);
  from->left = NULL;
}

static void carry(struct end *from, struct end *to) {
  ssize_t count = recv(from->fd, scratch, CHUNK, 0), sent;
  if (count < 0 && errno == EAGAIN) return;
  if (count < 0) return kill_pair(from->pair);
  if (count == 0) {
    from->has_ended = 1;
    return;
  }
  sent = send(to->fd, scratch, (size_t)count, MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) return kill_pair(from->pair);
  if (sent < 0) sent = 0;
  if (sent == count) return;
  from->left = malloc((size_t)(count - sent));
  from->left_start = 0;
  from->left_end = (size_t)(count - sent);
  memcpy(from->left, scratch + sent, from->left_end);
}

static void handle(struct end *end, uint32_t events) {
  struct pair *pair = end->pair;
  struct end *other = end == pair->ends ? &pair->ends[1] : &pair->ends[0];
  if (pair->is_dead) return;
  if (pair->stage < CONNECTING) return read_head(pair);
  if (pair->stage == CONNECTING) {
    if (end == &pair->ends[1]) finish_connect(pair);
    else kill_pair(pair); /* the application went away */
    return;
  }
  if (events & EPOLLOUT) flush(other, end);
  if (!pair->is_dead && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
    if (events & EPOLLERR || (events & EPOLLHUP && end->has_ended && !end->left)) return kill_pair(pair);
    if (!end->left && !end->has_ended) carry(end, other);
  }
  if (pair->is_dead) return;
  finish_direction(end, other);
  if (!pair->is_dead) finish_direction(other, end);
  if (pair->is_dead) return;
  for (int i = 0; i < 2; i++) {
    struct end *at = &pair->ends[i], *opposite = &pair->ends[!i];
    want(at, (at->left || at->has_ended ? 0 : EPOLLIN) | (opposite->left ? EPOLLOUT : 0));
  }
}

static void accept_all(int listener) {
  for (int fd; (fd = accept_next(listener)) >= 0;) {
    struct pair *pair = calloc(1, sizeof *pair);
    for (int i = 0; i < 2; i++) pair->ends[i] = (struct end){.fd = i ? -1 : fd, .wanted = EPOLLIN, .pair = pair};
    watch(poller, EPOLL_CTL_ADD, fd, EPOLLIN, &pair->ends[0]);
  }
}

int main(void) {
  int port, listener;
  prepare();
  poller = epoll_create1(EPOLL_CLOEXEC);
  listener = listen_free(&port);
  watch(poller, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
  printf("{\"port\":%d}\n", port);
  fflush(stdout);
  for (;;) {
    struct epoll_event events[EVENTS];
    int ready = epoll_wait(poller, events, EVENTS, -1);
    for (int i = 0; i < ready; i++) {
      if (events[i].data.ptr) handle(events[i].data.ptr, events[i].events);
      else accept_all(listener);
    }
    while (dead) {
      struct pair *pair = dead;
      dead = pair->next_dead;
      free(pair->ends[0].left);
      free(pair->ends[1].left);
      free(pair);
    }
  }
}
