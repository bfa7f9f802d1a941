// The module's face: UDP sockets that are waited for together, whose datagrams come and go many at a time. A poller of our own
// (epoll) holds them all, and the event loop waits for that: one wake-up, and one call of JavaScript, serves all that are ready.
#include <napi.h>

#include <fcntl.h>
#include <net/if.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <unordered_map>

#include "../tun/waiter.h"
#include "layout.h"
#include "socket.h"

// libuv's, whose headers are not there to be had; Node and Electron export them.
extern "C" {
int uv_ip4_addr(const char* text, int port, sockaddr_in* address);
int uv_ip6_addr(const char* text, int port, sockaddr_in6* address);
int uv_inet_ntop(int family, const void* bytes, char* text, size_t size);
const char* uv_err_name(int error);
}

namespace {

using namespace sockeye;

/** Sockets that are served in one wake-up; others have their turn in the next. */
constexpr int kReady = 64;
/** Datagrams of one socket in one wake-up. */
constexpr size_t kTurn = 32;

Napi::Error systemError(Napi::Env env, const char* call, int error) {
  Napi::Error thrown = Napi::Error::New(env, std::string(call) + ": " + std::strerror(error));
  thrown.Set("code", Napi::String::New(env, uv_err_name(-error)));
  return thrown;
}

bool parse(const std::string& host, int port, Address& address) {
  auto* ipv4 = reinterpret_cast<sockaddr_in*>(&address.bytes);
  if (uv_ip4_addr(host.c_str(), port, ipv4) == 0) address.length = sizeof(sockaddr_in);
  else if (uv_ip6_addr(host.c_str(), port, &address.bytes) == 0) address.length = sizeof(sockaddr_in6);
  return address.length > 0;
}

class UdpSockets : public Napi::ObjectWrap<UdpSockets> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "UdpSockets",
                       {InstanceMethod<&UdpSockets::adopt>("adopt"), InstanceMethod<&UdpSockets::open>("open"),
                        InstanceMethod<&UdpSockets::connect>("connect"), InstanceMethod<&UdpSockets::flush>("flush"),
                        InstanceMethod<&UdpSockets::address>("address"), InstanceMethod<&UdpSockets::source>("source"),
                        InstanceMethod<&UdpSockets::close>("close")});
  }

  /** new UdpSockets(callback): callback(count) with datagrams in the shared memory. It lives while a socket is open. */
  explicit UdpSockets(const Napi::CallbackInfo& info) : Napi::ObjectWrap<UdpSockets>(info), env_(info.Env()) {
    if (!info[0].IsFunction()) throw Napi::TypeError::New(env_, "a function is needed");
    poller_ = epoll_create1(EPOLL_CLOEXEC);
    if (poller_ < 0) throw systemError(env_, "epoll_create1", errno);
    callback_ = Napi::Persistent(info[0].As<Napi::Function>());
    share(info.This().As<Napi::Object>());
    for (size_t i = 0; i < Incoming::kDatagrams; i++) {
      messages_[i].msg_hdr.msg_iov = &parts_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
      messages_[i].msg_hdr.msg_name = &sources_[i].bytes;
    }
  }

  ~UdpSockets() override {
    closeAll();
    if (poller_ >= 0) ::close(poller_);
  }

  /** adopt(descriptor): takes a bound socket over, unless it throws. @returns the socket's number. */
  Napi::Value adopt(const Napi::CallbackInfo& info) {
    const int descriptor = info[0].As<Napi::Number>().Int32Value();
    const int flags = ::fcntl(descriptor, F_GETFL);
    if (flags < 0 || ::fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) != 0) throw systemError(env_, "fcntl", errno);
    return Napi::Number::New(env_, hold(descriptor));
  }

  /** open(family): a socket of family 4 or 6, bound to any port. @returns its number. */
  Napi::Value open(const Napi::CallbackInfo& info) {
    const bool isIpv4 = info[0].As<Napi::Number>().Int32Value() == 4;
    const int descriptor = ::socket(isIpv4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) throw systemError(env_, "socket", errno);
    const int on = 1;
    Address any;
    any.length = isIpv4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    any.bytes.sin6_family = isIpv4 ? AF_INET : AF_INET6;
    const bool bound = (isIpv4 || ::setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0) &&
                       ::bind(descriptor, any.pointer(), any.length) == 0;
    const int error = errno;
    if (bound) return Napi::Number::New(env_, hold(descriptor));
    ::close(descriptor);
    throw systemError(env_, "bind", error);
  }

  /** connect(socket, host, port). @returns whether the system agreed. */
  Napi::Value connect(const Napi::CallbackInfo& info) {
    UdpSocket* socket = find(info[0]);
    Address peer;
    const bool done = socket != nullptr &&
                      parse(info[1].ToString().Utf8Value(), info[2].ToNumber().Int32Value(), peer) &&
                      socket->connect(peer);
    return Napi::Boolean::New(env_, done);
  }

  /** flush(count): sends the first `count` datagrams of the shared memory. */
  void flush(const Napi::CallbackInfo& info) {
    const size_t count = std::min<size_t>(info[0].As<Napi::Number>().Uint32Value(), Outgoing::kDatagrams);
    uint8_t* shared = locate(outgoing_, Outgoing::size);
    if (shared == nullptr) return;
    const auto* fields = reinterpret_cast<const int32_t*>(shared + Outgoing::fieldsAt);
    const uint8_t* bytes = shared + Outgoing::bytesAt;
    for (size_t i = 0; i < count; i++, fields += Outgoing::kFields) gather(fields, bytes);
    for (const uint32_t number : gathered_) {
      UdpSocket& socket = *sockets_.at(number);
      socket.flush();
      if (socket.hasKept() && !socket.waitsForRoom) watch(number, socket, true);
    }
    gathered_.clear();
  }

  /** address(host, port): the bytes that stand for it in the shared memory; undefined where it is no address. */
  Napi::Value address(const Napi::CallbackInfo& info) {
    Address address;
    if (!parse(info[0].ToString().Utf8Value(), info[1].ToNumber().Int32Value(), address)) return env_.Undefined();
    return Napi::Buffer<uint8_t>::Copy(env_, reinterpret_cast<uint8_t*>(&address.bytes), address.length);
  }

  /** source(index): whom a datagram of the burst came from, as [host, port]. Only while its burst is handed over. */
  Napi::Value source(const Napi::CallbackInfo& info) {
    const size_t index = std::min<size_t>(info[0].As<Napi::Number>().Uint32Value(), Incoming::kDatagrams - 1);
    const sockaddr_in6& from = sources_[index].bytes;
    const auto* ipv4 = reinterpret_cast<const sockaddr_in*>(&from);
    const bool isIpv4 = from.sin6_family == AF_INET;
    char text[INET6_ADDRSTRLEN + 1 + IF_NAMESIZE] = "";
    const void* bytes = isIpv4 ? static_cast<const void*>(&ipv4->sin_addr) : &from.sin6_addr;
    uv_inet_ntop(from.sin6_family, bytes, text, sizeof text);
    if (!isIpv4 && IN6_IS_ADDR_LINKLOCAL(&from.sin6_addr)) {
      char name[IF_NAMESIZE];
      if (::if_indextoname(from.sin6_scope_id, name) != nullptr) std::strcat(std::strcat(text, "%"), name);
    }
    const Napi::Array both = Napi::Array::New(env_, 2);
    both.Set(uint32_t{0}, Napi::String::New(env_, text));
    both.Set(uint32_t{1}, Napi::Number::New(env_, ntohs(isIpv4 ? ipv4->sin_port : from.sin6_port)));
    return both;
  }

  /** close(socket): nothing is heard of it any more, what it kept is dropped, and its number is never given again. */
  void close(const Napi::CallbackInfo& info) {
    sockets_.erase(info[0].As<Napi::Number>().Uint32Value());
    if (sockets_.empty()) rest();
  }

 private:
  void share(Napi::Object self) {
    auto in = Napi::ArrayBuffer::New(env_, Incoming::size);
    auto out = Napi::ArrayBuffer::New(env_, Outgoing::size);
    self.Set("came", Napi::Int32Array::New(env_, Incoming::kDatagrams * Incoming::kFields, in, Incoming::fieldsAt));
    self.Set("incoming", Napi::Uint8Array::New(env_, Incoming::kBytes, in, Incoming::bytesAt));
    self.Set("room", static_cast<double>(Incoming::kRoom));
    self.Set("toSend", Napi::Int32Array::New(env_, Outgoing::kDatagrams * Outgoing::kFields, out, Outgoing::fieldsAt));
    self.Set("outgoing", Napi::Uint8Array::New(env_, Outgoing::kBytes, out, Outgoing::bytesAt));
    incoming_ = Napi::Persistent(in);
    outgoing_ = Napi::Persistent(out);
  }

  /** Where shared memory lies now; null where JavaScript has taken it away. */
  uint8_t* locate(const Napi::Reference<Napi::ArrayBuffer>& reference, size_t size) const {
    napi_value buffer;
    void* data = nullptr;
    size_t length = 0;
    if (napi_get_reference_value(env_, reference, &buffer) != napi_ok || buffer == nullptr ||
        napi_get_arraybuffer_info(env_, buffer, &data, &length) != napi_ok || length != size) {
      return nullptr;
    }
    return static_cast<uint8_t*>(data);
  }

  UdpSocket* find(uint32_t number) const {
    const auto found = sockets_.find(number);
    return found == sockets_.end() ? nullptr : found->second.get();
  }

  UdpSocket* find(const Napi::Value& number) const { return find(number.As<Napi::Number>().Uint32Value()); }

  /** Owns a descriptor, unless it throws, and waits for what comes. */
  uint32_t hold(int descriptor) {
    wake();
    const uint32_t number = next_++;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u32 = number;
    if (epoll_ctl(poller_, EPOLL_CTL_ADD, descriptor, &event) != 0) {
      const int error = errno;
      if (sockets_.empty()) rest();
      throw systemError(env_, "epoll_ctl", error);
    }
    sockets_.emplace(number, std::make_unique<UdpSocket>(descriptor));
    return number;
  }

  void watch(uint32_t number, UdpSocket& socket, bool forRoom) {
    epoll_event event{};
    event.events = forRoom ? EPOLLIN | EPOLLOUT : EPOLLIN;
    event.data.u32 = number;
    socket.waitsForRoom = forRoom;
    epoll_ctl(poller_, EPOLL_CTL_MOD, socket.descriptor(), &event);
  }

  /** The event loop waits for the poller, and is kept running, while there is a socket. */
  void wake() {
    if (waiter_ != nullptr) return;
    waiter_ = Waiter::start(
        env_, poller_, [this](bool) { return onReady(); }, [this] { closeAll(); });
    if (waiter_ == nullptr) throw Napi::Error::New(env_, "the event loop can't wait for the sockets");
    // It is still there where JavaScript closed the last socket in a call, and opens another.
    if (asyncContext_ == nullptr) napi_async_init(env_, Value(), Napi::String::New(env_, "sockeye:udp"), &asyncContext_);
    Ref();
  }

  void rest() {
    if (waiter_ == nullptr) return;
    waiter_.reset();
    // Not Unref(), which throws where the environment is about to end, and nobody could catch that.
    napi_reference_unref(env_, *this, nullptr);
    leaveContext();
  }

  void closeAll() {
    sockets_.clear();
    rest();
  }

  /** Puts a datagram to its socket's others, but nothing that would lead outside of the shared memory. */
  void gather(const int32_t* fields, const uint8_t* bytes) {
    const auto number = static_cast<uint32_t>(fields[Outgoing::socket]);
    const int64_t at = fields[Outgoing::at];
    const int64_t length = fields[Outgoing::length];
    const int64_t targetAt = fields[Outgoing::targetAt];
    UdpSocket* socket = find(number);
    if (socket == nullptr || at < 0 || length < 0 || at + length > int64_t{Outgoing::kBytes}) return;
    Datagram datagram{bytes + at, static_cast<size_t>(length), {}};
    if (targetAt >= 0) {
      if (targetAt + int64_t{sizeof(sockaddr_in6)} > int64_t{Outgoing::kBytes}) return;
      std::memcpy(&datagram.to.bytes, bytes + targetAt, sizeof(sockaddr_in6));
      const bool isIpv4 = datagram.to.bytes.sin6_family == AF_INET;
      datagram.to.length = isIpv4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    }
    if (!socket->hasBatch()) gathered_.push_back(number);
    socket->add(datagram);
  }

  bool onReady() {
    Napi::HandleScope scope(env_);
    // Kept alive by a handle, also when JavaScript closes the last socket in the middle of a burst.
    [[maybe_unused]] const Napi::Value self = Value();
    epoll_event events[kReady];
    const int ready = epoll_wait(poller_, events, kReady, 0);
    size_t count = 0;
    for (int i = 0; i < ready; i++) {
      if (count + kTurn > Incoming::kDatagrams) {
        call(count);
        count = 0;
      }
      // Whoever was called may have closed it.
      UdpSocket* socket = find(events[i].data.u32);
      if (socket == nullptr) continue;
      if ((events[i].events & EPOLLOUT) != 0 && socket->sendKept()) watch(events[i].data.u32, *socket, false);
      if ((events[i].events & (EPOLLIN | EPOLLERR)) != 0) count += receive(events[i].data.u32, *socket, count);
    }
    if (count > 0) call(count);
    return false;
  }

  /** @returns how many datagrams there are more in the burst. */
  size_t receive(uint32_t number, UdpSocket& socket, size_t at) {
    uint8_t* shared = locate(incoming_, Incoming::size);
    if (shared == nullptr) return 0;
    for (size_t i = at; i < at + kTurn; i++) {
      parts_[i] = {shared + Incoming::bytesAt + i * Incoming::kRoom, Incoming::kRoom};
      messages_[i].msg_hdr.msg_namelen = sizeof(sockaddr_in6);
    }
    const int got = socket.receive(messages_ + at, kTurn);
    auto* fields = reinterpret_cast<int32_t*>(shared + Incoming::fieldsAt) + at * Incoming::kFields;
    if (got < 0) {
      fields[Incoming::socket] = static_cast<int32_t>(number);
      fields[Incoming::length] = got;
      return 1;
    }
    for (int i = 0; i < got; i++, fields += Incoming::kFields) {
      const mmsghdr& message = messages_[at + i];
      Address& source = sources_[at + i];
      source.length = message.msg_hdr.msg_namelen;
      fields[Incoming::socket] = static_cast<int32_t>(number);
      fields[Incoming::length] = static_cast<int32_t>(message.msg_len);
      fields[Incoming::fresh] = source == socket.lastSource ? 0 : 1;
      if (fields[Incoming::fresh] != 0) socket.lastSource = source;
    }
    return static_cast<size_t>(got);
  }

  /** Calls JavaScript from the event loop; what it throws is an uncaught exception, as in any other callback. */
  void call(size_t count) {
    Napi::HandleScope scope(env_);
    napi_value argument;
    napi_value global;
    calling_ = true;
    if (napi_create_uint32(env_, static_cast<uint32_t>(count), &argument) == napi_ok &&
        napi_get_global(env_, &global) == napi_ok) {
      napi_make_callback(env_, asyncContext_, global, callback_.Value(), 1, &argument, nullptr);
    }
    napi_value thrown;
    bool pending = false;
    if (napi_is_exception_pending(env_, &pending) == napi_ok && pending &&
        napi_get_and_clear_last_exception(env_, &thrown) == napi_ok) {
      napi_fatal_exception(env_, thrown);
    }
    calling_ = false;
    if (waiter_ == nullptr) leaveContext();
  }

  /** Not while a call is under way in it. */
  void leaveContext() {
    if (calling_ || asyncContext_ == nullptr) return;
    napi_async_destroy(env_, asyncContext_);
    asyncContext_ = nullptr;
  }

  const Napi::Env env_;
  int poller_ = -1;
  uint32_t next_ = 1;
  std::unordered_map<uint32_t, std::unique_ptr<UdpSocket>> sockets_;
  /** Those that have something to send in the flush under way. */
  std::vector<uint32_t> gathered_;
  std::unique_ptr<Waiter> waiter_;
  Napi::FunctionReference callback_;
  napi_async_context asyncContext_ = nullptr;
  bool calling_ = false;
  Napi::Reference<Napi::ArrayBuffer> incoming_;
  Napi::Reference<Napi::ArrayBuffer> outgoing_;
  mmsghdr messages_[Incoming::kDatagrams] = {};
  iovec parts_[Incoming::kDatagrams] = {};
  Address sources_[Incoming::kDatagrams];
};

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  exports.Set("UdpSockets", UdpSockets::define(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(udp, initialise)
