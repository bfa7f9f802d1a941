/*
 * delay PORT MILLISECONDS [OWN_PORT LAST_BYTE]: a relay that holds every byte for so long in each direction, as a long link does. It takes
 * whatever is sent, up to MAX_HELD a direction, so that the window of the protocol above, and nothing else, limits the
 * rate. Connecting itself is not delayed. It listens on OWN_PORT of 127.0.0.LAST_BYTE, by default a free port of 127.0.0.1, and
 * prints its own port as one line of JSON.
 *
 * Every byte waits equally long, so the order of reading is the order of delivery: one queue is all the timer it needs.
 */
#include "net.h"

#define CHUNK (256 * 1024)
#define MAX_HELD (128 * 1024 * 1024)
#define EVENTS 64

struct chunk {
  struct chunk *next_due; /* in the order of reading, over all directions */
  struct chunk *next;     /* in its direction */
  struct direction *direction;
  double due;
  size_t start, end; /* start == end: the end of the stream */
  char bytes[];
};

struct direction {
  struct end *from, *to;
  struct chunk *first, *last; /* held, oldest first */
  size_t held;
  int due;        /* chunks at the front that may be delivered */
  int has_ended;  /* no more is read */
  int has_closed; /* the end has been delivered */
};

struct end {
  int fd;
  uint32_t wanted;
  int is_shut; /* both ways: no more events, while its last bytes may still be held */
  struct link *link;
};

struct link {
  struct end ends[2];
  struct direction directions[2]; /* [0] reads ends[0] */
  int chunks;                     /* in the queue: the link's memory must stay while there are any */
  int is_broken;
  struct link *next_dead;
};

static int poller, target_port;
static double delay;
static struct chunk *due_first, *due_last;
static struct link *dead;
static char scratch[CHUNK];

static void update(struct link *link) {
  if (link->is_broken) return;
  for (int i = 0; i < 2; i++) {
    struct direction *out_of = &link->directions[i], *into = &link->directions[!i];
    uint32_t wanted = 0;
    if (!out_of->has_ended && out_of->held < MAX_HELD) wanted |= EPOLLIN;
    if (into->due > 0) wanted |= EPOLLOUT;
    if (wanted == link->ends[i].wanted || link->ends[i].is_shut) continue;
    link->ends[i].wanted = wanted;
    watch(poller, EPOLL_CTL_MOD, link->ends[i].fd, wanted, &link->ends[i]);
  }
}

/* Both sockets go at once; the memory goes when the queue holds none of its chunks and this round of events is over. */
static void break_link(struct link *link) {
  if (link->is_broken) return;
  link->is_broken = 1;
  close(link->ends[0].fd);
  close(link->ends[1].fd);
  link->next_dead = dead;
  dead = link;
}

static void deliver(struct direction *direction) {
  while (direction->due > 0) {
    struct chunk *chunk = direction->first;
    if (chunk->start == chunk->end) {
      shutdown(direction->to->fd, SHUT_WR);
      direction->has_closed = 1;
    } else {
      ssize_t count = send(direction->to->fd, chunk->bytes + chunk->start, chunk->end - chunk->start, MSG_NOSIGNAL);
      if (count < 0 && errno != EAGAIN) return break_link(direction->to->link);
      if (count < 0) return;
      chunk->start += (size_t)count;
      direction->held -= (size_t)count;
      if (chunk->start < chunk->end) return;
    }
    direction->first = chunk->next;
    if (!direction->first) direction->last = NULL;
    direction->due--;
    free(chunk);
  }
}

static void take(struct direction *direction) {
  ssize_t count = recv(direction->from->fd, scratch, CHUNK, 0);
  if (count < 0 && errno == EAGAIN) return;
  if (count < 0) return break_link(direction->from->link);
  struct chunk *chunk = malloc(sizeof *chunk + (size_t)count);
  *chunk = (struct chunk){.direction = direction, .due = now() + delay, .end = (size_t)count};
  memcpy(chunk->bytes, scratch, (size_t)count);
  direction->has_ended = count == 0;
  direction->held += (size_t)count;
  direction->from->link->chunks++;
  if (direction->last) direction->last->next = chunk;
  else direction->first = chunk;
  direction->last = chunk;
  if (due_last) due_last->next_due = chunk;
  else due_first = chunk;
  due_last = chunk;
}

/* Moves what is due to its direction. Returns milliseconds to the next, or -1. */
static int run_queue(void) {
  double time = now();
  while (due_first && due_first->due <= time) {
    struct chunk *chunk = due_first;
    struct direction *direction = chunk->direction;
    struct link *link = direction->from->link;
    due_first = chunk->next_due;
    if (!due_first) due_last = NULL;
    link->chunks--;
    if (link->is_broken) continue;
    direction->due++;
    deliver(direction);
    update(link);
    if (link->directions[0].has_closed && link->directions[1].has_closed) break_link(link);
  }
  if (!due_first) return -1;
  /* What fell due meanwhile must not be waited for: a negative time would be for ever. */
  double left = due_first->due - now();
  return left > 0 ? (int)(left * 1000) + 1 : 0;
}

static void bury(void) {
  for (struct link **at = &dead; *at;) {
    struct link *link = *at;
    if (link->chunks > 0) {
      at = &link->next_dead;
      continue;
    }
    *at = link->next_dead;
    for (int i = 0; i < 2; i++) {
      for (struct chunk *chunk = link->directions[i].first, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
      }
    }
    free(link);
  }
}

static void accept_all(int listener) {
  for (int fd; (fd = accept_next(listener)) >= 0;) {
    int out = connect_begin(target_port);
    if (out < 0) {
      close(fd);
      continue;
    }
    struct link *link = calloc(1, sizeof *link);
    for (int i = 0; i < 2; i++) {
      link->ends[i] = (struct end){.fd = i ? out : fd, .wanted = EPOLLIN, .link = link};
      link->directions[i] = (struct direction){.from = &link->ends[i], .to = &link->ends[!i]};
      watch(poller, EPOLL_CTL_ADD, link->ends[i].fd, EPOLLIN, &link->ends[i]);
    }
  }
}

int main(int count, char **arguments) {
  int port = 0, listener;
  if (count != 3 && count != 5) die("usage: delay PORT MILLISECONDS [OWN_PORT LAST_BYTE]");
  if (count == 5) port = atoi(arguments[3]);
  prepare();
  target_port = atoi(arguments[1]);
  delay = atof(arguments[2]) / 1000;
  poller = epoll_create1(EPOLL_CLOEXEC);
  listener = listen_at(&port, count == 5 ? atoi(arguments[4]) : 1);
  watch(poller, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
  printf("{\"port\":%d}\n", port);
  fflush(stdout);
  for (;;) {
    struct epoll_event events[EVENTS];
    int ready = epoll_wait(poller, events, EVENTS, run_queue());
    for (int i = 0; i < ready; i++) {
      struct end *end = events[i].data.ptr;
      if (!end) {
        accept_all(listener);
        continue;
      }
      struct link *link = end->link;
      int side = end == &link->ends[1];
      if (!link->is_broken && events[i].events & (EPOLLERR | EPOLLHUP) && link->directions[side].has_ended) {
        if (events[i].events & EPOLLERR) break_link(link);
        else {
          end->is_shut = 1;
          watch(poller, EPOLL_CTL_DEL, end->fd, 0, NULL);
        }
      }
      if (!link->is_broken && events[i].events & EPOLLOUT) deliver(&link->directions[!side]);
      if (!link->is_broken && events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP) && !end->is_shut) take(&link->directions[side]);
      update(link);
    }
    bury();
  }
}
