// What Node's sockets can't do: receive descriptors with the bytes they came with (unix(7), SCM_RIGHTS).
//
// A channel is one connection to the privileged helper. Its frames are read by a thread of its own, which hands each over to
// JavaScript with the descriptors that had arrived by then; sending is a call that never waits. A frame is a little-endian
// u32 length and as many bytes.
#include <napi.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

// libuv's, whose headers are not there to be had; Node exports it.
extern "C" const char* uv_err_name(int error);

namespace {

// macOS lacks the two: received descriptors are marked one by one there, and Node ignores SIGPIPE anyway.
#ifndef MSG_CMSG_CLOEXEC
#define MSG_CMSG_CLOEXEC 0
#endif
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

constexpr size_t kLengthBytes = 4;
constexpr size_t kMaxFrame = 64 * 1024;
/** The most that come with one message. */
constexpr size_t kMaxDescriptors = 64;

Napi::Error systemError(Napi::Env env, const char* call, int error) {
  Napi::Error thrown = Napi::Error::New(env, std::string(call) + ": " + std::strerror(error));
  thrown.Set("code", Napi::String::New(env, uv_err_name(-error)));
  return thrown;
}

/** Not inherited by a program that is started. */
void keepToUs(int descriptor) { fcntl(descriptor, F_SETFD, FD_CLOEXEC); }

/** One event for JavaScript: a frame, or the end. Descriptors that nobody takes are closed. */
struct Event {
  bool end = false;
  std::vector<uint8_t> frame;
  std::vector<int> descriptors;

  ~Event() {
    for (const int descriptor : descriptors) close(descriptor);
  }
};

void deliver(Napi::Env env, Napi::Function callback, Event* taken) {
  const std::unique_ptr<Event> event(taken);
  if (env == nullptr || callback.IsEmpty()) return;
  if (event->end) {
    callback.Call({env.Undefined(), Napi::Array::New(env)});
    return;
  }
  const Napi::Array descriptors = Napi::Array::New(env, event->descriptors.size());
  for (uint32_t i = 0; i < event->descriptors.size(); i++)
    descriptors.Set(i, Napi::Number::New(env, event->descriptors[i]));
  event->descriptors.clear();
  callback.Call({Napi::Buffer<uint8_t>::Copy(env, event->frame.data(), event->frame.size()), descriptors});
}

/** Reads until the end, an error, or a word on `stop`. */
class Reader {
 public:
  Reader(int socket, int stop, Napi::ThreadSafeFunction tell) : socket_(socket), stop_(stop), tell_(std::move(tell)) {}

  void run() {
    while (waitForBytes() && receive()) {
    }
    auto* event = new Event;
    event->end = true;
    pass(event);
    for (const int descriptor : waiting_) close(descriptor);
    close(stop_);
    tell_.Release();
  }

 private:
  bool waitForBytes() {
    pollfd watched[] = {{socket_, POLLIN, 0}, {stop_, POLLIN, 0}};
    while (poll(watched, 2, -1) < 0)
      if (errno != EINTR) return false;
    return watched[1].revents == 0;
  }

  bool receive() {
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxDescriptors)];
    iovec room{buffer_ + filled_, sizeof buffer_ - filled_};
    msghdr message{};
    message.msg_iov = &room;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t got = recvmsg(socket_, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got < 0) return errno == EINTR || errno == EAGAIN;
    for (cmsghdr* head = CMSG_FIRSTHDR(&message); head != nullptr; head = CMSG_NXTHDR(&message, head)) {
      if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
      const size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      const size_t before = waiting_.size();
      waiting_.resize(before + count);
      std::memcpy(waiting_.data() + before, CMSG_DATA(head), count * sizeof(int));
      if (MSG_CMSG_CLOEXEC == 0) std::for_each(waiting_.begin() + static_cast<ptrdiff_t>(before), waiting_.end(), keepToUs);
    }
    // MSG_CTRUNC: this process has no room for more descriptors. Whoever asked sees that there are fewer than promised.
    if (got == 0) return false;
    filled_ += static_cast<size_t>(got);
    return passFrames();
  }

  bool passFrames() {
    size_t at = 0;
    while (filled_ - at >= kLengthBytes) {
      uint32_t length = 0;
      for (size_t i = 0; i < kLengthBytes; i++) length |= uint32_t{buffer_[at + i]} << (8 * i);
      if (length == 0 || length > kMaxFrame) return false;
      if (filled_ - at < kLengthBytes + length) break;
      auto* event = new Event;
      event->frame.assign(buffer_ + at + kLengthBytes, buffer_ + at + kLengthBytes + length);
      event->descriptors.swap(waiting_);
      if (!pass(event)) return false;
      at += kLengthBytes + length;
    }
    filled_ -= at;
    std::memmove(buffer_, buffer_ + at, filled_);
    return true;
  }

  bool pass(Event* event) {
    if (tell_.NonBlockingCall(event, deliver) == napi_ok) return true;
    delete event;
    return false;
  }

  int socket_;
  int stop_;
  Napi::ThreadSafeFunction tell_;
  std::vector<int> waiting_;
  uint8_t buffer_[kLengthBytes + kMaxFrame];
  size_t filled_ = 0;
};

class Channel : public Napi::ObjectWrap<Channel> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Channel",
                       {InstanceMethod<&Channel::send>("send"), InstanceMethod<&Channel::close>("close")});
  }

  /** (socket, onFrame). It owns the socket. onFrame(frame, descriptors) is called last with undefined, at the end. */
  explicit Channel(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Channel>(info) {
    socket_ = info[0].As<Napi::Number>().Int32Value();
    int ends[2];
    if (pipe(ends) != 0) throw systemError(info.Env(), "pipe", errno);
    for (const int each : ends) keepToUs(each);
    const int stop = ends[0];
    stop_ = ends[1];
    auto tell = Napi::ThreadSafeFunction::New(info.Env(), info[1].As<Napi::Function>(), "sockeye helper", 0, 1);
    // Whoever waits for an answer has a deadline of his own, which keeps the process alive.
    tell.Unref(info.Env());
    auto reader = std::make_unique<Reader>(socket_, stop, std::move(tell));
    thread_ = std::thread([reader = std::move(reader)] { reader->run(); });
  }

  ~Channel() override { end(); }

 private:
  /** Sends a whole frame at once; throws where the helper does not take it. */
  void send(const Napi::CallbackInfo& info) {
    const auto frame = info[0].As<Napi::Buffer<uint8_t>>();
    if (socket_ < 0) throw systemError(info.Env(), "send", EPIPE);
    ssize_t sent;
    do sent = ::send(socket_, frame.Data(), frame.Length(), MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent < 0) throw systemError(info.Env(), "send", errno);
    if (static_cast<size_t>(sent) != frame.Length()) throw systemError(info.Env(), "send", ENOBUFS);
  }

  void close(const Napi::CallbackInfo&) { end(); }

  void end() {
    if (thread_.joinable()) {
      // It fails where the thread has ended, or is about to, by itself.
      [[maybe_unused]] const ssize_t told = write(stop_, "", 1);
      thread_.join();
    }
    if (stop_ >= 0) ::close(stop_);
    if (socket_ >= 0) ::close(socket_);
    socket_ = stop_ = -1;
  }

  int socket_ = -1;
  int stop_ = -1;
  std::thread thread_;
};

/** @returns the two ends of a connection. Neither is inherited by a program that is started. */
Napi::Value pair(const Napi::CallbackInfo& info) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) throw systemError(info.Env(), "socketpair", errno);
  for (const int each : ends) keepToUs(each);
  const Napi::Array both = Napi::Array::New(info.Env(), 2);
  both.Set(uint32_t{0}, Napi::Number::New(info.Env(), ends[0]));
  both.Set(uint32_t{1}, Napi::Number::New(info.Env(), ends[1]));
  return both;
}

/** Connects to a Unix socket, which never takes long: a listener whose queue is full refuses with EAGAIN. */
Napi::Value connectTo(const Napi::CallbackInfo& info) {
  const std::string path = info[0].As<Napi::String>().Utf8Value();
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (path.size() >= sizeof name.sun_path) throw systemError(info.Env(), "connect", ENAMETOOLONG);
  std::memcpy(name.sun_path, path.c_str(), path.size());
  const int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
  if (descriptor < 0) throw systemError(info.Env(), "socket", errno);
  keepToUs(descriptor);
  fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
  if (connect(descriptor, reinterpret_cast<sockaddr*>(&name), sizeof name) != 0) {
    const int error = errno;
    close(descriptor);
    throw systemError(info.Env(), "connect", error);
  }
  return Napi::Number::New(info.Env(), descriptor);
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  exports.Set("Channel", Channel::define(env));
  exports.Set("pair", Napi::Function::New<pair>(env));
  exports.Set("connect", Napi::Function::New<connectTo>(env));
  return exports;
}

NODE_API_MODULE(handover, initialize)

}  // namespace
