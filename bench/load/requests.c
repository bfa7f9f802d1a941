/*
 * requests MODE PORT HOST NUMBER SECONDS WARM_UP: HTTP/1.1 to 127.0.0.1:PORT, with HOST as its Host. Prints one line of JSON.
 *
 *   rate N   N requests a second on kept connections, each begun at its own time whether or not those before it have been
 *            answered: where all connections are busy it waits. Latencies are counted from the time at which a request was due,
 *            so that a server that stands still is not asked less for it (what is known as coordinated omission).
 *   down N   one answer with a body of N bytes, or what of it comes within SECONDS
 *   up N     one request with such a body; what counts is what has been sent when the answer comes, or when SECONDS are over
 *
 * The first WARM_UP seconds are not measured; `total` has what they brought, too, for the cost of each.
 */
#include "net.h"
#include <poll.h>

#define CHUNK (256 * 1024)
#define EVENTS 512
#define CONNECTIONS 256
#define MAX_SAMPLES (1 << 18)
#define PATIENCE 5.0 /* seconds for the last answers */

struct client {
  int fd;
  int is_connected;
  size_t got;
  double due; /* of the request that it carries; 0: none */
  char words[2048];
};

static int poller, port, head_length;
static long number;
static char head[512], chunk[CHUNK];
static struct client clients[CONNECTIONS];
static struct client *idle[CONNECTIONS];
static int idle_count, errors;
static float samples[MAX_SAMPLES];
static size_t answered, measured;
static double measure_from, measure_until;

static void open_client(struct client *client) {
  client->fd = connect_begin(port);
  if (client->fd < 0) die("connect");
  client->is_connected = 0;
  client->due = 0;
  client->got = 0;
  watch(poller, EPOLL_CTL_ADD, client->fd, EPOLLOUT, client);
}

static void fail(struct client *client) {
  if (++errors > 1000) {
    errno = 0;
    die("requests: more than 1000 requests failed");
  }
  close(client->fd);
  open_client(client);
}

static void ask(struct client *client, double due) {
  client->due = due;
  client->got = 0;
  if (send(client->fd, head, (size_t)head_length, MSG_NOSIGNAL) != head_length) fail(client);
}

/* True once a small answer is whole. */
static int is_whole(struct client *client) {
  char *tail, *length;
  client->words[client->got] = 0;
  tail = strstr(client->words, "\r\n\r\n");
  if (!tail) return 0;
  length = strcasestr(client->words, "\r\ncontent-length:");
  if (!length || length > tail) return 0;
  return client->got >= (size_t)(tail + 4 - client->words) + strtoull(length + 17, NULL, 10);
}

static void take(struct client *client) {
  double time;
  ssize_t count;
  if (!client->is_connected) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error) return fail(client);
    client->is_connected = 1;
    watch(poller, EPOLL_CTL_MOD, client->fd, EPOLLIN, client);
    idle[idle_count++] = client;
    return;
  }
  if (client->due == 0) {
    /* An idle connection ended; it is among the idle ones. */
    for (int i = 0; i < idle_count; i++)
      if (idle[i] == client) idle[i] = idle[--idle_count];
    close(client->fd);
    open_client(client);
    return;
  }
  count = recv(client->fd, client->words + client->got, sizeof client->words - 1 - client->got, 0);
  if (count < 0 && errno == EAGAIN) return;
  if (count <= 0) return fail(client);
  client->got += (size_t)count;
  if (!is_whole(client)) return;
  if (strncmp(client->words, "HTTP/1.1 200", 12)) return fail(client);
  time = now();
  answered++;
  if (client->due >= measure_from && client->due < measure_until && measured < MAX_SAMPLES)
    samples[measured++] = (float)(time - client->due);
  client->due = 0;
  idle[idle_count++] = client;
}

static void serve_events(int patience_ms) {
  struct epoll_event events[EVENTS];
  int ready = epoll_wait(poller, events, EVENTS, patience_ms);
  for (int i = 0; i < ready; i++) take(events[i].data.ptr);
}

static int compare(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

static double quantile(double part) { return measured ? samples[(size_t)((double)(measured - 1) * part)] : 0; }

static void run_rate(const char *host, double seconds, double warm_up) {
  double began, interval = 1.0 / (double)number, last = 0;
  unsigned long long due = 0, asked = 0, all;
  int used = number < CONNECTIONS ? (int)number : CONNECTIONS;
  head_length = snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host);
  for (int i = 0; i < used; i++) open_client(&clients[i]);
  began = now();
  while (idle_count < used && now() < began + PATIENCE) serve_events(10);
  began = now();
  measure_from = began + warm_up;
  measure_until = measure_from + seconds;
  all = (unsigned long long)((warm_up + seconds) / interval);
  while (asked < all || answered + (size_t)errors < asked) {
    double time = now();
    if (time > measure_until + PATIENCE) break;
    due = (unsigned long long)((time - began) / interval) + 1;
    if (due > all) due = all;
    while (asked < due && idle_count > 0) ask(idle[--idle_count], began + (double)asked++ * interval);
    last = began + (double)asked * interval - now();
    serve_events(asked < all && idle_count > 0 ? (last > 0.001 ? (int)(last * 1000) : 0) : 10);
  }
  errors += (int)(all - answered > (unsigned long long)errors ? all - answered - (unsigned long long)errors : 0);
  qsort(samples, measured, sizeof *samples, compare);
  printf("{\"count\":%zu,\"total\":%zu,\"errors\":%d,\"p50\":%.6f,\"p99\":%.6f,\"most\":%.6f}\n", measured, answered, errors,
         quantile(0.5), quantile(0.99), quantile(1));
}

static int await(int fd, short what, double until) {
  double left = until - now();
  struct pollfd one = {.fd = fd, .events = what};
  return left > 0 && poll(&one, 1, (int)(left * 1000) + 1) > 0;
}

/* One body; bytes are told for the measured time and for all of it. */
static void run_body(const char *host, int is_up, double seconds, double warm_up) {
  int fd = connect_begin(port), is_over = 0;
  double began = now(), until = began + warm_up + seconds, from = 0;
  unsigned long long total = 0, before = 0, wanted = (unsigned long long)number;
  if (fd < 0) die("connect");
  head_length = is_up ? snprintf(head, sizeof head, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: %ld\r\n\r\n", host, number)
                      : snprintf(head, sizeof head, "GET /bytes/%ld HTTP/1.1\r\nHost: %s\r\n\r\n", number, host);
  if (!await(fd, POLLOUT, until) || send(fd, head, (size_t)head_length, MSG_NOSIGNAL) != head_length) die("no connection");
  while (!is_over) {
    ssize_t count;
    int is_reading = !is_up || total == wanted;
    if (!await(fd, is_reading ? POLLIN : POLLOUT, until)) break;
    if (from == 0 && now() >= began + warm_up) {
      from = now();
      before = total;
    }
    if (is_reading) {
      /* MSG_TRUNC: the bytes are thrown away by the kernel; the answer's head counts with them. */
      count = recv(fd, NULL, 4 << 20, MSG_TRUNC);
      if (count <= 0) {
        if (count < 0 && errno == EAGAIN) continue;
        errno = 0;
        die("the connection ended after %llu bytes", total);
      }
      if (is_up) is_over = 1;
      else is_over = (total += (unsigned long long)count) >= wanted;
    } else {
      count = send(fd, chunk, wanted - total < CHUNK ? (size_t)(wanted - total) : CHUNK, MSG_NOSIGNAL);
      if (count < 0 && errno != EAGAIN) die("send");
      if (count > 0) total += (unsigned long long)count;
    }
  }
  if (from == 0) from = began, before = 0;
  printf("{\"bytes\":%llu,\"total\":%llu,\"seconds\":%.4f,\"whole\":%s}\n", total - before, total, now() - from,
         is_over ? "true" : "false");
}

int main(int count, char **arguments) {
  double seconds, warm_up;
  if (count != 7) die("usage: requests rate|down|up PORT HOST NUMBER SECONDS WARM_UP");
  prepare();
  port = atoi(arguments[2]);
  number = atol(arguments[4]);
  seconds = atof(arguments[5]);
  warm_up = atof(arguments[6]);
  poller = epoll_create1(EPOLL_CLOEXEC);
  if (!strcmp(arguments[1], "rate")) run_rate(arguments[3], seconds, warm_up);
  else run_body(arguments[3], !strcmp(arguments[1], "up"), seconds, warm_up);
  return 0;
}
