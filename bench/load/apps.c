/*
 * apps MODE ADDRESS PORT NUMBER SECONDS WARM_UP: what applications do that know of no proxy, before an echo at an IPv4
 * address; it prints one line of JSON.
 *
 *   ask          one connection: a byte there and back, one after the other
 *   meet         one after the other: connect, a byte there and back, close
 *   idle         opens NUMBER flows, a byte echoed through each, prints how many, holds them until its input ends
 *   datagrams    NUMBER flows of UDP, each with WINDOW datagrams on their way; what is not back in PATIENCE is lost
 *
 * Times are seconds. Figures are of the SECONDS after the WARM_UP.
 */
#include "net.h"
#include <sys/uio.h>

#define EVENTS 256
#define MAX_SAMPLES (1 << 20)
#define OPEN_DEADLINE 30.0 /* seconds that idle may take to open its flows */
#define IDLE_CONCURRENCY 64
#define ANSWER_DEADLINE 5 /* seconds that an answer may take */
#define WINDOW 8
#define DATAGRAM 64
#define PATIENCE 0.25

static struct sockaddr_in target;
static long number;
static double seconds, warm_up;
static float samples[MAX_SAMPLES];
static size_t sampled;

static int compare(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

static int meet(void) {
  struct timeval patience = {.tv_sec = ANSWER_DEADLINE};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) die("apps: socket");
  tune(fd);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (connect(fd, (struct sockaddr *)&target, sizeof target)) die("apps: connect");
  return fd;
}

static void ask(int fd) {
  char byte = 'x';
  if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || recv(fd, &byte, 1, 0) != 1) die("apps: no echo");
}

static void measure_delay(int is_meeting) {
  double began = now(), measured = began + warm_up, until = measured + seconds, asked;
  int fd = is_meeting ? -1 : meet();
  while ((asked = now()) < until) {
    if (is_meeting) fd = meet();
    ask(fd);
    if (asked >= measured && sampled < MAX_SAMPLES) samples[sampled++] = (float)(now() - asked);
    if (is_meeting) close(fd);
  }
  qsort(samples, sampled, sizeof *samples, compare);
  printf("{\"count\":%zu,\"p50\":%.9f,\"p99\":%.9f}\n", sampled, sampled ? samples[sampled / 2] : 0,
         sampled ? samples[sampled * 99 / 100] : 0);
}

struct flow {
  int fd;
  int is_open;
  int on_their_way;
  double heard;
};

static void begin_idle(int poller, struct flow *flow) {
  flow->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (flow->fd < 0) die("apps: socket");
  if (connect(flow->fd, (struct sockaddr *)&target, sizeof target) && errno != EINPROGRESS) die("apps: connect");
  watch(poller, EPOLL_CTL_ADD, flow->fd, EPOLLOUT, flow);
}

static void hold_idle(struct flow *flows) {
  int poller = epoll_create1(EPOLL_CLOEXEC), open = 0, failed = 0;
  long next = 0;
  double began = now();
  char byte = 'x';
  while (open + failed < number && now() < began + OPEN_DEADLINE) {
    struct epoll_event events[EVENTS];
    for (; next < number && next - open - failed < IDLE_CONCURRENCY; next++) begin_idle(poller, &flows[next]);
    int ready = epoll_wait(poller, events, EVENTS, 100);
    for (int i = 0; i < ready; i++) {
      struct flow *flow = events[i].data.ptr;
      int is_well = !(events[i].events & (EPOLLERR | EPOLLHUP));
      if (is_well && events[i].events & EPOLLOUT) {
        is_well = send(flow->fd, &byte, 1, MSG_NOSIGNAL) == 1;
        if (is_well) watch(poller, EPOLL_CTL_MOD, flow->fd, EPOLLIN, flow);
      } else if (is_well && !flow->is_open) {
        is_well = recv(flow->fd, &byte, 1, 0) == 1;
        if (is_well) flow->is_open = ++open > 0;
      } else if (flow->is_open) {
        flow->is_open = 0;
        open--;
        is_well = 0;
      }
      if (is_well) continue;
      failed++;
      close(flow->fd);
    }
  }
  printf("{\"open\":%d,\"seconds\":%.3f}\n", open, now() - began);
  fflush(stdout);
  while (read(0, &byte, 1) > 0) continue;
}

static unsigned long long sent, returned, returned_in_time;

/* The first byte tells whether a datagram is of the measured time. */
static void send_datagrams(struct flow *flow, int count, int is_measured) {
  static char data[DATAGRAM];
  struct iovec part = {.iov_base = data, .iov_len = DATAGRAM};
  struct mmsghdr messages[WINDOW] = {0};
  int taken;
  data[0] = (char)is_measured;
  for (int i = 0; i < count; i++) messages[i].msg_hdr = (struct msghdr){.msg_iov = &part, .msg_iovlen = 1};
  taken = sendmmsg(flow->fd, messages, (unsigned)count, 0);
  if (taken < 0) taken = 0; /* Nobody listens, says ICMP, or no buffer is free: the flow's patience goes on. */
  flow->on_their_way += taken;
  if (is_measured) sent += (unsigned long long)taken;
}

static int receive_datagrams(struct flow *flow, int is_measured) {
  char data[WINDOW * 2][DATAGRAM];
  struct iovec parts[WINDOW * 2];
  struct mmsghdr messages[WINDOW * 2] = {0};
  int count;
  for (int i = 0; i < WINDOW * 2; i++) {
    parts[i] = (struct iovec){.iov_base = data[i], .iov_len = DATAGRAM};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
  }
  count = recvmmsg(flow->fd, messages, WINDOW * 2, MSG_DONTWAIT, NULL);
  for (int i = 0; i < count; i++) {
    if (!data[i][0]) continue;
    returned++;
    if (is_measured) returned_in_time++;
  }
  return count < 0 ? 0 : count;
}

static void exchange_datagrams(struct flow *flows) {
  int poller = epoll_create1(EPOLL_CLOEXEC);
  double began = now(), measured = began + warm_up, until = measured + seconds, time = began;
  for (long i = 0; i < number; i++) {
      flows[i].fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (flows[i].fd < 0 || connect(flows[i].fd, (struct sockaddr *)&target, sizeof target)) die("apps: UDP socket");
    watch(poller, EPOLL_CTL_ADD, flows[i].fd, EPOLLIN, &flows[i]);
    flows[i].heard = -1;
  }
  for (double looked = 0; time < until + PATIENCE; time = now()) {
    struct epoll_event events[EVENTS];
    int is_measured = time >= measured && time < until;
    for (long i = 0; time - looked > PATIENCE / 10 && i < number; i++) {
      if (time >= until || time - flows[i].heard < PATIENCE) continue;
      flows[i].on_their_way = 0;
      flows[i].heard = time;
      send_datagrams(&flows[i], WINDOW, is_measured);
    }
    if (time - looked > PATIENCE / 10) looked = time;
    int ready = epoll_wait(poller, events, EVENTS, 10);
    for (int i = 0; i < ready; i++) {
      struct flow *flow = events[i].data.ptr;
      int count = receive_datagrams(flow, is_measured);
      if (count == 0) continue;
      flow->heard = time;
      flow->on_their_way = flow->on_their_way > count ? flow->on_their_way - count : 0;
      if (time < until && flow->on_their_way < WINDOW) send_datagrams(flow, WINDOW - flow->on_their_way, is_measured);
    }
  }
  printf("{\"returned\":%llu,\"seconds\":%.3f,\"sent\":%llu,\"lost\":%llu}\n", returned_in_time, seconds, sent, sent - returned);
}

int main(int count, char **arguments) {
  struct flow *flows;
  if (count != 7) die("usage: apps MODE ADDRESS PORT NUMBER SECONDS WARM_UP");
  target = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arguments[3]))};
  if (inet_pton(AF_INET, arguments[2], &target.sin_addr) != 1) die("apps: %s is no IPv4 address", arguments[2]);
  number = atol(arguments[4]);
  seconds = atof(arguments[5]);
  warm_up = atof(arguments[6]);
  prepare();
  flows = calloc((size_t)number + 1, sizeof *flows);
  if (!strcmp(arguments[1], "ask")) measure_delay(0);
  else if (!strcmp(arguments[1], "meet")) measure_delay(1);
  else if (!strcmp(arguments[1], "idle")) hold_idle(flows);
  else if (!strcmp(arguments[1], "datagrams")) exchange_datagrams(flows);
  else die("apps: no mode %s", arguments[1]);
  return 0;
}
