/*
 * load MODE NUMBER PROXY_PORT TARGET_PORT SECONDS WARM_UP [COUNT_PORT]: makes the traffic that is measured, from
 * 127.0.0.1, through the SOCKS5 proxy at PROXY_PORT (0: none), and prints one line of JSON.
 *
 *   rate N    N clients at once connect, send a byte to an echo server, read it back, close, and begin again
 *   down N    N streams read from a source
 *   up N      N streams write to a sink; what arrived is asked of the sink at COUNT_PORT
 *   idle N    opens N flows, a byte echoed through each, prints how many, holds them until its input ends, closes them
 *
 * Figures are of the SECONDS after the WARM_UP; `total` has the bytes of the whole run, for the cost per byte.
 */
#include "net.h"

#define CHUNK (256 * 1024)
#define EVENTS 512
#define MAX_SAMPLES (1 << 20)
#define OPEN_DEADLINE 30.0 /* seconds that idle may take to open its flows */
#define IDLE_CONCURRENCY 64
#define MAX_ERRORS 100

enum mode { RATE, DOWN, UP, IDLE };
enum stage { CONNECTING, METHOD, REPLY, ECHOED, FLOWING };

struct client {
  int fd; /* -1: none */
  enum stage stage;
  size_t got;
  double began;
};

static enum mode mode;
static int poller, proxy_port, target_port, count_port, open_count, errors;
static long number;
static char chunk[CHUNK];
static unsigned long long bytes, connections, total_connections;
static float samples[MAX_SAMPLES];
static int is_measuring;

static void start(struct client *client) {
  client->stage = CONNECTING;
  client->got = 0;
  client->began = now();
  client->fd = connect_begin(proxy_port ? proxy_port : target_port);
  if (client->fd < 0) die("connect");
  watch(poller, EPOLL_CTL_ADD, client->fd, EPOLLOUT, client);
}

static void fail(struct client *client, const char *what) {
  if (errors < 5) fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
  if (++errors > MAX_ERRORS) {
    errno = 0;
    die("load: more than %d connections failed", MAX_ERRORS);
  }
  close(client->fd);
  client->fd = -1;
  if (mode != IDLE) start(client);
}

/* Sends one small message and waits for the answer to it. */
static void ask(struct client *client, enum stage stage, const void *words, size_t length) {
  client->stage = stage;
  client->got = 0;
  if (send(client->fd, words, length, MSG_NOSIGNAL) != (ssize_t)length) return fail(client, "send");
  watch(poller, EPOLL_CTL_MOD, client->fd, EPOLLIN, client);
}

/* Reads up to `length` bytes of an answer in all. Returns 1 when they are there, 0 to wait, -1 when it failed. */
static int answer(struct client *client, unsigned char *words, size_t length) {
  ssize_t count = recv(client->fd, words, length - client->got, 0);
  if (count < 0 && errno == EAGAIN) return 0;
  if (count <= 0) {
    errno = count == 0 ? 0 : errno;
    fail(client, "the connection ended in the handshake");
    return -1;
  }
  client->got += (size_t)count;
  return client->got == length;
}

static void begin_payload(struct client *client) {
  if (mode == RATE || mode == IDLE) return ask(client, ECHOED, "x", 1);
  client->stage = FLOWING;
  watch(poller, EPOLL_CTL_MOD, client->fd, mode == UP ? EPOLLOUT : EPOLLIN, client);
}

static void finish_echo(struct client *client) {
  if (mode == IDLE) {
    client->stage = FLOWING;
    open_count++;
    return;
  }
  total_connections++;
  if (is_measuring) {
    if (connections < MAX_SAMPLES) samples[connections] = (float)(now() - client->began);
    connections++;
  }
  close(client->fd);
  start(client);
}

static void flow(struct client *client) {
  if (mode == IDLE) {
    errno = 0;
    open_count--;
    return fail(client, "an idle flow ended");
  }
  ssize_t count = mode == UP ? send(client->fd, chunk, CHUNK, MSG_NOSIGNAL) : recv(client->fd, NULL, 4 << 20, MSG_TRUNC);
  if (count > 0) bytes += (unsigned long long)count;
  else if (count == 0 || errno != EAGAIN) fail(client, "a stream ended");
}

static void handle(struct client *client) {
  unsigned char words[16];
  unsigned char request[10] = {5, 1, 0, 1, 127, 0, 0, 1, (unsigned char)(target_port >> 8), (unsigned char)target_port};
  int error = 0, state;
  socklen_t length = sizeof error;
  switch (client->stage) {
  case CONNECTING:
    getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error) {
      errno = error;
      fail(client, "connect");
    } else if (proxy_port) ask(client, METHOD, "\5\1\0", 3);
    else begin_payload(client);
    return;
  case METHOD:
    if (answer(client, words, 2) == 1) ask(client, REPLY, request, sizeof request);
    return;
  case REPLY:
    /* Every proxy here answers with an IPv4 address. */
    state = answer(client, words, 10);
    if (state == 1 && client->got == 10) begin_payload(client);
    return;
  case ECHOED:
    if (answer(client, words, 1) == 1) finish_echo(client);
    return;
  case FLOWING: flow(client); return;
  }
}

static int compare(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

/* Bytes that the sink has received since it began. */
static unsigned long long received(void) {
  struct sockaddr_in address = loopback(count_port, 1);
  char line[32] = {0};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) || recv(fd, line, sizeof line - 1, MSG_WAITALL) <= 0)
    die("load: the sink does not tell its count");
  close(fd);
  return strtoull(line, NULL, 10);
}

static unsigned long long counted(void) { return mode == UP ? received() : bytes; }

/* Serves events until the time comes, or, opening idle flows, until all are open. */
static void run(struct client *clients, double until) {
  long next = mode == IDLE ? IDLE_CONCURRENCY : number, last_open = 0;
  while (now() < until && !(mode == IDLE && open_count + errors >= number)) {
    struct epoll_event events[EVENTS];
    int ready = epoll_wait(poller, events, EVENTS, 10);
    for (int i = 0; i < ready; i++) {
      struct client *client = events[i].data.ptr;
      if (client->fd >= 0) handle(client);
    }
    if (mode != IDLE) continue;
    for (; last_open < open_count + errors && next < number; last_open++) start(&clients[next++]);
  }
}

int main(int count, char **arguments) {
  static const char *names[] = {"rate", "down", "up", "idle"};
  struct client *clients;
  double seconds, warm_up, began;
  unsigned long long before, after, first;
  if (count < 7) die("usage: load MODE NUMBER PROXY_PORT TARGET_PORT SECONDS WARM_UP [COUNT_PORT]");
  while (mode < IDLE && strcmp(names[mode], arguments[1])) mode++;
  number = atol(arguments[2]);
  proxy_port = atoi(arguments[3]);
  target_port = atoi(arguments[4]);
  seconds = atof(arguments[5]);
  warm_up = atof(arguments[6]);
  count_port = count > 7 ? atoi(arguments[7]) : 0;
  prepare();
  poller = epoll_create1(EPOLL_CLOEXEC);
  clients = calloc((size_t)number, sizeof *clients);
  for (long i = 0; i < number; i++) clients[i].fd = -1;
  for (long i = 0; i < number && (mode != IDLE || i < IDLE_CONCURRENCY); i++) start(&clients[i]);
  began = now();

  if (mode == IDLE) {
    char ignored;
    run(clients, began + OPEN_DEADLINE);
    printf("{\"open\":%d,\"errors\":%d,\"seconds\":%.3f}\n", open_count, errors, now() - began);
    fflush(stdout);
    while (read(0, &ignored, 1) > 0) continue;
    return 0;
  }
  first = counted();
  run(clients, began + warm_up);
  is_measuring = 1;
  before = counted();
  began = now();
  run(clients, began + seconds);
  seconds = now() - began;
  after = counted();
  if (mode == RATE) {
    size_t kept = connections < MAX_SAMPLES ? connections : MAX_SAMPLES;
    qsort(samples, kept, sizeof *samples, compare);
    printf("{\"connections\":%llu,\"total\":%llu,\"errors\":%d,\"seconds\":%.3f,\"p50\":%.6f,\"p99\":%.6f}\n", connections,
           total_connections, errors, seconds, kept ? samples[kept / 2] : 0, kept ? samples[kept * 99 / 100] : 0);
  } else
    printf("{\"bytes\":%llu,\"total\":%llu,\"errors\":%d,\"seconds\":%.3f}\n", after - before, after - first, errors, seconds);
  return 0;
}
