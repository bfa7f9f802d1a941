/*
 * forward UPSTREAM_ADDRESS UPSTREAM_PORT TARGET4 TARGET6 SHIFT PORT…: the least that a SOCKS5 client can do for a stream.
 * It listens on SHIFT above each PORT, asks the SOCKS5 server for that PORT of TARGET4 (of TARGET6, for who came by IPv6),
 * and moves bytes by splice(2): they pass through a pipe inside the kernel and never enter this program. What it reaches
 * is the limit of a path through that server on this machine. Prints a line when it listens.
 */
#include "net.h"

#define EVENTS 256
#define PIPE_BYTES (1 << 20)

enum stage { CONNECTING, METHOD, REPLY, FLOWING };

/* A pipe is lent to a direction only while bytes are in it, so that an idle flow is two descriptors. */
struct conduit {
  int in, out;
  struct conduit *next;
};

struct direction {
  int from, to;
  struct conduit *conduit;
  size_t held;
  int has_ended;
};

struct flow {
  enum stage stage;
  int is_six, is_dead;
  int application, upstream, port;
  unsigned char reply[22];
  size_t got;
  struct direction up, down;
  struct flow *next_dead;
};

struct side {
  int listener; /* -1 for a flow's socket */
  int port;
  struct flow *flow;
};

static int poller;
static struct sockaddr_in upstream_address;
static struct in_addr target4;
static struct in6_addr target6;
static struct conduit *spare;
static struct flow *dead;

static struct conduit *borrow(void) {
  struct conduit *conduit = spare;
  int ends[2];
  if (conduit) {
    spare = conduit->next;
    return conduit;
  }
  if (pipe2(ends, O_NONBLOCK | O_CLOEXEC)) return NULL;
  fcntl(ends[0], F_SETPIPE_SZ, PIPE_BYTES);
  conduit = malloc(sizeof *conduit);
  *conduit = (struct conduit){.in = ends[1], .out = ends[0]};
  return conduit;
}

/* One that still holds bytes is closed: they must not come out of another flow. */
static void give_back(struct direction *direction) {
  struct conduit *conduit = direction->conduit;
  direction->conduit = NULL;
  if (!conduit) return;
  if (direction->held) {
    close(conduit->in);
    close(conduit->out);
    free(conduit);
    return;
  }
  conduit->next = spare;
  spare = conduit;
}

/* The memory stays until the events of this turn are through: another of them may be of the same flow. */
static void end(struct flow *flow) {
  if (flow->is_dead) return;
  flow->is_dead = 1;
  close(flow->application);
  close(flow->upstream);
  give_back(&flow->up);
  give_back(&flow->down);
  flow->next_dead = dead;
  dead = flow;
}

/* Moves what can be moved now. False when the flow has failed. */
static int pump(struct direction *direction) {
  for (;;) {
    ssize_t in = -1, out = -1;
    if (!direction->has_ended && !direction->conduit && !(direction->conduit = borrow())) return 0;
    if (!direction->has_ended) {
      in = splice(direction->from, NULL, direction->conduit->in, NULL, PIPE_BYTES, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
      if (in < 0 && errno != EAGAIN) return 0;
      if (in > 0) direction->held += (size_t)in;
      if (in == 0) direction->has_ended = 1;
    }
    if (direction->held) {
      out = splice(direction->conduit->out, NULL, direction->to, NULL, direction->held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
      if (out < 0 && errno != EAGAIN) return 0;
      if (out > 0) direction->held -= (size_t)out;
    }
    if (in == 0 || (direction->has_ended && out > 0 && !direction->held)) {
      if (!direction->held) shutdown(direction->to, SHUT_WR);
    }
    if (in <= 0 && out <= 0) break;
  }
  if (!direction->held) give_back(direction);
  return 1;
}

static void ask_for_target(struct flow *flow) {
  unsigned char request[22] = {5, 1, 0, flow->is_six ? 4 : 1};
  size_t length = flow->is_six ? 16 : 4;
  memcpy(request + 4, flow->is_six ? (void *)&target6 : (void *)&target4, length);
  request[4 + length] = (unsigned char)(flow->port >> 8);
  request[5 + length] = (unsigned char)flow->port;
  if (send(flow->upstream, request, 6 + length, MSG_NOSIGNAL) != (ssize_t)(6 + length)) end(flow);
}

/* Bytes of the answer that is being waited for: a method, or a reply, whose address may be of either family. */
static size_t wanted(const struct flow *flow) {
  if (flow->stage == METHOD) return 2;
  if (flow->got < 4) return 4;
  return flow->reply[3] == 4 ? 22 : 10;
}

static void handshake(struct flow *flow) {
  while (flow->got < wanted(flow)) {
    ssize_t count = recv(flow->upstream, flow->reply + flow->got, wanted(flow) - flow->got, 0);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) return end(flow);
    flow->got += (size_t)count;
  }
  if (flow->reply[0] != 5 || flow->reply[1] != 0) return end(flow);
  flow->got = 0;
  if (flow->stage++ == METHOD) ask_for_target(flow);
}

static void handle(struct flow *flow, uint32_t events) {
  if (flow->is_dead) return;
  if (flow->stage == CONNECTING && events & EPOLLOUT) {
    int error = 0;
    socklen_t length = sizeof error;
    /* The application's socket is writable from the start; the server's is when it has connected. */
    if (send(flow->upstream, "\5\1\0", 3, MSG_NOSIGNAL) == 3) flow->stage = METHOD;
    else if (errno != EAGAIN || getsockopt(flow->upstream, SOL_SOCKET, SO_ERROR, &error, &length) || error) return end(flow);
  }
  if (flow->stage == METHOD) handshake(flow);
  if (flow->stage == REPLY && !flow->is_dead) handshake(flow);
  if (flow->stage != FLOWING || flow->is_dead) return;
  if (!pump(&flow->up) || !pump(&flow->down) || (events & EPOLLERR)) return end(flow);
  if (flow->up.has_ended && flow->down.has_ended && !flow->up.held && !flow->down.held) end(flow);
}

static void accept_all(struct side *listener) {
  for (int fd; (fd = accept_next(listener->listener)) >= 0;) {
    struct sockaddr_in6 own = {0};
    socklen_t length = sizeof own;
    struct flow *flow = calloc(1, sizeof *flow);
    getsockname(fd, (struct sockaddr *)&own, &length);
    flow->is_six = own.sin6_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&own.sin6_addr);
    flow->port = listener->port;
    flow->application = fd;
    flow->upstream = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    flow->up = (struct direction){.from = flow->application, .to = flow->upstream};
    flow->down = (struct direction){.from = flow->upstream, .to = flow->application};
    if (flow->upstream < 0) die("socket");
    tune(flow->upstream);
    if (connect(flow->upstream, (struct sockaddr *)&upstream_address, sizeof upstream_address) && errno != EINPROGRESS) {
      end(flow);
      continue;
    }
    /* Edge-triggered: each event moves all that there is, so that no interest ever has to be changed. */
    watch(poller, EPOLL_CTL_ADD, flow->application, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, flow);
    watch(poller, EPOLL_CTL_ADD, flow->upstream, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, flow);
  }
}

int main(int count, char **arguments) {
  static struct side listeners[16];
  int listening = count - 6;
  if (listening < 1 || listening > 16) die("usage: forward UPSTREAM_ADDRESS UPSTREAM_PORT TARGET4 TARGET6 SHIFT PORT...");
  prepare();
  upstream_address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arguments[2]))};
  if (inet_pton(AF_INET, arguments[1], &upstream_address.sin_addr) != 1 || inet_pton(AF_INET, arguments[3], &target4) != 1 ||
      inet_pton(AF_INET6, arguments[4], &target6) != 1)
    die("forward: not an address");
  poller = epoll_create1(EPOLL_CLOEXEC);
  for (int i = 0; i < listening; i++) {
    int port = atoi(arguments[6 + i]);
    listeners[i] = (struct side){.listener = listen_everywhere(SOCK_STREAM, port + atoi(arguments[5])), .port = port};
    watch(poller, EPOLL_CTL_ADD, listeners[i].listener, EPOLLIN, &listeners[i]);
  }
  puts("listening");
  fflush(stdout);
  for (;;) {
    struct epoll_event events[EVENTS];
    int ready = epoll_wait(poller, events, EVENTS, -1);
    for (int i = 0; i < ready; i++) {
      struct side *listener = events[i].data.ptr;
      if (listener >= listeners && listener < listeners + listening) accept_all(listener);
      else handle(events[i].data.ptr, events[i].events);
    }
    while (dead) {
      struct flow *flow = dead;
      dead = flow->next_dead;
      free(flow);
    }
  }
}
