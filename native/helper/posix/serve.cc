#include "serve.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#ifdef __APPLE__
#include <sys/event.h>
#else
#include <sys/signalfd.h>
#endif
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <memory>

#include "privilege.h"
#include "session.h"

namespace sockeye {
namespace {

/** A client that has said nothing by then gives its place up. */
constexpr int kGreetingMs = 5000;
/** A client that takes no answer for so long is gone. */
constexpr int kAnswerMs = 2000;
/** Between two lines about callers who may not ask. */
constexpr int64_t kSayMs = 1000;
/** Processes that see callers off; one more, and the oldest is killed. */
constexpr size_t kMaxLeaving = 16;
/** No descriptor of ours has a higher number. */
constexpr int kMaxDescriptors = 1024;

int64_t nowMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

/** Sends a frame, with the descriptors on its first byte, and closes our copies of them. */
bool sendAnswer(int socket, Outcome& outcome) {
  const std::vector<uint8_t>& frame = outcome.answer.frame();
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxSockets)] = {};
  const size_t size = sizeof(int) * outcome.descriptors.size();
  size_t at = 0;
  bool sent = true;
  while (sent && at < frame.size()) {
    iovec part{const_cast<uint8_t*>(frame.data() + at), frame.size() - at};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (at == 0 && size > 0) {
      message.msg_control = control;
      message.msg_controllen = static_cast<decltype(message.msg_controllen)>(CMSG_SPACE(size));
      cmsghdr* head = CMSG_FIRSTHDR(&message);
      head->cmsg_level = SOL_SOCKET;
      head->cmsg_type = SCM_RIGHTS;
      head->cmsg_len = static_cast<decltype(head->cmsg_len)>(CMSG_LEN(size));
      std::memcpy(CMSG_DATA(head), outcome.descriptors.data(), size);
    }
    const ssize_t wrote = sendmsg(socket, &message, MSG_DONTWAIT);
    if (wrote >= 0) {
      at += static_cast<size_t>(wrote);
      continue;
    }
    pollfd writable{socket, POLLOUT, 0};
    sent = errno == EINTR || (errno == EAGAIN && poll(&writable, 1, kAnswerMs) == 1);
  }
  for (const int descriptor : outcome.descriptors) close(descriptor);
  return sent;
}

class Client {
 public:
  Client(int socket, int lock) : socket_(socket), lock_(lock), greetingBy_(nowMs() + kGreetingMs) {
    fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) | O_NONBLOCK);
    undo(true);
  }

  /** Whatever ends the client, all of it is undone. */
  ~Client() {
    close(socket_);
    undone = undo(true).empty();
    if (lock_ >= 0) close(lock_);
  }

  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  int socket() const { return socket_; }

  /** Milliseconds until it must have said something; -1 once it has. */
  int patience() const {
    if (heard_) return -1;
    const int64_t left = greetingBy_ - nowMs();
    return left > 0 ? static_cast<int>(left) : 0;
  }

  /** Reads what has come, and answers. @returns false when the client is over. */
  bool read() {
    const ssize_t got = recv(socket_, buffer_ + filled_, sizeof buffer_ - filled_, 0);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) return false;
    filled_ += static_cast<size_t>(got);
    size_t at = 0;
    while (filled_ - at >= kLengthBytes) {
      const size_t length = frameLength(buffer_ + at);
      if (length == 0) {
        refuseClient(socket_, Refusal::malformed, "a frame is empty or longer than 64 KiB");
        return false;
      }
      if (filled_ - at < kLengthBytes + length) break;
      if (!answer(buffer_ + at + kLengthBytes, length)) return false;
      at += kLengthBytes + length;
    }
    filled_ -= at;
    std::memmove(buffer_, buffer_ + at, filled_);
    return true;
  }

  /** Where the destructor says whether all was undone. */
  static bool undone;

 private:
  bool answer(const uint8_t* frame, size_t length) {
    heard_ = true;
    Request request;
    if (const char* wrong = parseRequest(frame, length, request)) {
      refuseClient(socket_, Refusal::malformed, wrong);
      return false;
    }
    Outcome outcome = session_.handle(request);
    return sendAnswer(socket_, outcome) && !outcome.over;
  }

  int socket_;
  int lock_;
  int64_t greetingBy_;
  bool heard_ = false;
  Session session_;
  uint8_t buffer_[kLengthBytes + kMaxFrame];
  size_t filled_ = 0;
};

bool Client::undone = true;

/** Has those who are leaving end, where there are too many; forgets those who have ended. */
void seeOff(std::deque<pid_t>& leaving) {
  if (leaving.size() >= kMaxLeaving) kill(leaving.front(), SIGKILL);
  leaving.erase(std::remove_if(leaving.begin(), leaving.end(),
                               [](pid_t each) { return waitpid(each, nullptr, WNOHANG) != 0; }),
                leaving.end());
}

/**
 * Tells a client why it is not served, and closes its connection, in a process of its own: what it has sent may hold descriptors,
 * which close with the connection, and that may take as long as whoever made them likes (SO_LINGER, a file system of theirs).
 */
void turnAway(int socket, Refusal code, const std::string& sentence) {
  static std::deque<pid_t> leaving;
  seeOff(leaving);
  int gate[2];
  if (pipe(gate) != 0) gate[0] = gate[1] = -1;
  const pid_t process = gate[0] < 0 ? -1 : fork();
  if (process == 0) {
    dup2(socket, STDIN_FILENO);
    dup2(gate[0], STDOUT_FILENO);
    // Our lock above all, which would outlive us.
    for (int each = STDERR_FILENO + 1; each < kMaxDescriptors; each++) close(each);
    refuseClient(STDIN_FILENO, code, sentence);
    // Until our own descriptor for the connection is closed, and this one is the last.
    char nothing;
    while (read(STDOUT_FILENO, &nothing, 1) > 0) continue;
    _exit(0);
  }
  if (process > 0) leaving.push_back(process);
  close(socket);
  close(gate[0]);
  close(gate[1]);
}

/** Lets a new client in, or tells it why not. */
std::unique_ptr<Client> admit(int listener) {
  const int socket = accept(listener, nullptr, nullptr);
  if (socket < 0) return nullptr;
  fcntl(socket, F_SETFD, FD_CLOEXEC);
  Caller who;
  std::string problem;
  if (!mayAsk(socket, who)) {
    // Anybody can have us say it, as often as they like.
    static int64_t saidAt = -kSayMs;
    if (nowMs() - saidAt >= kSayMs) {
      saidAt = nowMs();
      say("refused process " + std::to_string(who.process) + " of user " + std::to_string(who.user));
    }
    turnAway(socket, Refusal::forbidden, std::string("only root and members of the group ") + kGroup + " may ask");
  } else if (const int lock = takeLock(who, false, problem); lock < 0) {
    turnAway(socket, Refusal::busy, problem);
  } else {
    return std::make_unique<Client>(socket, lock);
  }
  return nullptr;
}

int serve(int listener, std::unique_ptr<Client> client, int signals) {
  for (;;) {
    // poll() passes over a descriptor of -1.
    pollfd waiting[] = {{signals, POLLIN, 0}, {listener, POLLIN, 0}, {client ? client->socket() : -1, POLLIN, 0}};
    if (poll(waiting, 3, client ? client->patience() : -1) < 0 && errno != EINTR) break;
    if (waiting[0].revents != 0) break;
    const bool late = client && client->patience() == 0;
    if (client && (late || (waiting[2].revents != 0 && !client->read()))) client.reset();
    if (listener < 0 && !client) break;
    if (waiting[1].revents != 0) {
      std::unique_ptr<Client> next = admit(listener);
      if (next) client = std::move(next);
    }
  }
  client.reset();
  return Client::undone ? 0 : 1;
}

}  // namespace

int orderlyEnd() {
#ifdef __APPLE__
  // Watched signals are told of although they are ignored.
  const int queue = kqueue();
  for (const int each : {SIGTERM, SIGINT, SIGHUP}) {
    signal(each, SIG_IGN);
    struct kevent change;
    EV_SET(&change, each, EVFILT_SIGNAL, EV_ADD, 0, 0, nullptr);
    kevent(queue, &change, 1, nullptr, 0, nullptr);
  }
  return queue;
#else
  sigset_t set;
  sigemptyset(&set);
  for (const int each : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, each);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
#endif
}

void refuseClient(int client, Refusal code, const std::string& sentence) {
  Outcome outcome{Answer(Request{}, code, 0, sentence), {}, true};
  sendAnswer(client, outcome);
}

int serveOne(int client, int signals) { return serve(-1, std::make_unique<Client>(client, -1), signals); }

int serveAll(int listener, int signals) { return serve(listener, nullptr, signals); }

}  // namespace sockeye
