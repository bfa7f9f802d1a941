// Asks a listening helper as somebody who may not, in ways that are meant to hold it up: `PATH WAY`.
//   descriptor   sends a socket that lingers for an hour when its last descriptor is closed, which is then the helper's
//   crowd        connects 100 times, and says nothing
//   half         sends the beginning of a frame
// Prints `done`, and stays until its standard input ends.
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int ask(const char *path) {
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  strncpy(name.sun_path, path, sizeof name.sun_path - 1);
  int helper = socket(AF_UNIX, SOCK_STREAM, 0);
  return connect(helper, (struct sockaddr *)&name, sizeof name) == 0 ? helper : -1;
}

/** Connected to somebody who never reads, with more to send than fits. */
static int lingering(void) {
  struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof any;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  int both = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr *)&any, sizeof any) != 0 || listen(listener, 1) != 0) return -1;
  getsockname(listener, (struct sockaddr *)&any, &length);
  if (connect(both, (struct sockaddr *)&any, sizeof any) != 0) return -1;
  static char bytes[65536];
  while (send(both, bytes, sizeof bytes, MSG_DONTWAIT) > 0) continue;
  struct linger linger = {1, 3600};
  setsockopt(both, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
  return both;
}

static int give(int helper, int descriptor) {
  char byte = 0, control[CMSG_SPACE(sizeof descriptor)] = {0};
  struct iovec part = {&byte, 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(sizeof descriptor);
  memcpy(CMSG_DATA(head), &descriptor, sizeof descriptor);
  return sendmsg(helper, &message, MSG_NOSIGNAL) == 1 ? close(descriptor) : -1;
}

int main(int count, char **words) {
  if (count != 3) return 2;
  const char *path = words[1], *way = words[2];
  int failed = 0;
  const int descriptor = lingering();
  // What is sent arrives only where the helper has not refused before.
  for (int i = 0; i < 1000 && (i == 0 || failed); i++) {
    if (strcmp(way, "descriptor") == 0) failed = give(ask(path), descriptor) != 0;
    if (strcmp(way, "half") == 0) failed = send(ask(path), "\x0b\0\0\0\1", 5, MSG_NOSIGNAL) != 5;
  }
  for (int i = 0; i < 100 && strcmp(way, "crowd") == 0; i++) failed |= ask(path) < 0;
  if (failed) return 1;
  puts("done");
  fflush(stdout);
  char end;
  while (read(STDIN_FILENO, &end, 1) > 0) continue;
  return 0;
}
