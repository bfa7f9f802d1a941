// The module's face: a class that owns an open TUN device, hands bursts of packets to JavaScript, and writes what it queued.
// There is nothing global: each environment (worker thread) has devices of its own.
#include <napi.h>

#include <algorithm>
#include <string>

#include "burst.h"
#include "device.h"
#include "software.h"
#include "waiter.h"

namespace {

using namespace sockeye;

/** Bursts in one wake-up; after them, other sockets have their turn. */
constexpr int kRounds = 4;

class TunDevice : public Napi::ObjectWrap<TunDevice> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "TunDevice",
                       {InstanceMethod("start", &TunDevice::start), InstanceMethod("flush", &TunDevice::flush),
                        InstanceMethod("close", &TunDevice::closeFromJs), InstanceMethod("lost", &TunDevice::lost)});
  }

  /** new TunDevice(descriptor, {checksums, segments}): takes the descriptor over, unless it throws. */
  explicit TunDevice(const Napi::CallbackInfo& info) : Napi::ObjectWrap<TunDevice>(info), env_(info.Env()) {
    if (!info[0].IsNumber() || !info[1].IsObject()) {
      throw Napi::TypeError::New(info.Env(), "a descriptor and an object are needed");
    }
    const Napi::Object options = info[1].As<Napi::Object>();
    Wishes wishes;
    wishes.checksums = options.Get("checksums").ToBoolean();
    wishes.segments = options.Get("segments").ToBoolean();
    share(info.This().As<Napi::Object>());

    std::string problem;
    device_ = attach(static_cast<intptr_t>(info[0].As<Napi::Number>().Int64Value()), wishes, problem);
    if (device_ == nullptr) throw Napi::Error::New(info.Env(), problem);
    Napi::Object self = info.This().As<Napi::Object>();
    self.Set("name", device_->name());
    self.Set("mtu", device_->mtu());
    self.Set("completesChecksums", device_->completesChecksums());
    self.Set("segments", device_->segments());
  }

  ~TunDevice() override { close(); }

  /**
   * start(callback): callback(count, 0) with a burst in the shared arrays, callback(0, errno) when the device is gone, after
   * which it is closed. The object lives until then, or until close().
   */
  void start(const Napi::CallbackInfo& info) {
    if (device_ == nullptr || waiter_ != nullptr) {
      throw Napi::Error::New(info.Env(), "the device is closed, or has been started before");
    }
    if (!info[0].IsFunction()) throw Napi::TypeError::New(info.Env(), "a function is needed");
    waiter_ = Waiter::start(
        env_, device_->waitable(), [this](bool failed) { return onReady(failed); }, [this] { close(); });
    if (waiter_ == nullptr) throw Napi::Error::New(info.Env(), "the event loop can't wait for the device");
    callback_ = Napi::Persistent(info[0].As<Napi::Function>());
    napi_value name = Napi::String::New(info.Env(), "sockeye:tun");
    napi_async_init(env_, info.This(), name, &asyncContext_);
    Ref();
  }

  /**
   * flush(count, views): writes the first `count` packets of the shared arrays, whose pieces lie in `views`.
   * Returns 0, or the error number when the device is gone; then it is closed.
   */
  Napi::Value flush(const Napi::CallbackInfo& info) {
    if (device_ == nullptr) return Napi::Number::New(info.Env(), 0);
    const size_t count = std::min<size_t>(info[0].As<Napi::Number>().Uint32Value(), OutgoingLayout::kPackets);
    uint8_t* shared = locate(outgoing_, OutgoingLayout::size);
    const int error = shared == nullptr ? 0 : writeAll(shared, count, info[1]);
    if (error != 0) close();
    return Napi::Number::New(info.Env(), error);
  }

  void closeFromJs(const Napi::CallbackInfo&) { close(); }

  /** lost(): packets to write that were not written, so far. */
  Napi::Value lost(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(lost_));
  }

 private:
  /** Makes the shared memory, and views of its parts as properties. */
  void share(Napi::Object self) {
    Napi::Env env = self.Env();
    auto in = Napi::ArrayBuffer::New(env, IncomingLayout::size);
    auto out = Napi::ArrayBuffer::New(env, OutgoingLayout::size);
    using In = IncomingLayout;
    using Out = OutgoingLayout;
    self.Set("starts", Napi::Uint32Array::New(env, In::kPackets, in, In::startsAt));
    self.Set("lengths", Napi::Uint32Array::New(env, In::kPackets, in, In::lengthsAt));
    self.Set("checksums", Napi::Uint8Array::New(env, In::kPackets, in, In::checksumsAt));
    self.Set("bytes", Napi::Uint8Array::New(env, In::kBytes, in, In::bytesAt));
    self.Set("packets", Napi::Int32Array::New(env, Out::kPackets * Out::kFields, out, Out::packetsAt));
    self.Set("pieces", Napi::Uint32Array::New(env, Out::kPieces * Out::kPieceFields, out, Out::piecesAt));
    self.Set("heads", Napi::Uint8Array::New(env, Out::kHeads, out, Out::headsAt));
    self.Set("headroom", static_cast<double>(kHeadroom));
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

  /** @returns whether packets are left that were not read. */
  bool onReady(bool failed) {
    Napi::HandleScope scope(env_);
    // Kept alive by a handle, also when JavaScript closes the device in the middle of a burst.
    [[maybe_unused]] const Napi::Value self = Value();
    Outcome last = Outcome::done;
    for (int round = 0; round < kRounds && last != Outcome::empty; round++) {
      uint8_t* shared = locate(incoming_, IncomingLayout::size);
      if (shared == nullptr) return end(kDetached);
      const size_t count = fill(shared, last);
      const int error = last == Outcome::gone ? device_->error() : 0;
      if (count > 0) call(callback_.Value(), count, 0);
      if (device_ == nullptr) return false;
      if (error != 0) return end(error);
    }
    return failed ? end(kPollFailed) : last != Outcome::empty;
  }

  /** Reads packets until there are none or no more fit. @returns how many there are. */
  size_t fill(uint8_t* shared, Outcome& last) {
    auto* starts = reinterpret_cast<uint32_t*>(shared + IncomingLayout::startsAt);
    auto* lengths = reinterpret_cast<uint32_t*>(shared + IncomingLayout::lengthsAt);
    uint8_t* checksums = shared + IncomingLayout::checksumsAt;
    uint8_t* bytes = shared + IncomingLayout::bytesAt;
    size_t count = 0;
    size_t at = 0;
    last = Outcome::done;
    // What can't be read takes no place, but a turn.
    for (size_t turn = 0; turn < IncomingLayout::kPackets && at <= IncomingLayout::kFill; turn++) {
      Incoming packet;
      last = device_->read(bytes + at, packet);
      if (last == Outcome::lost) continue;
      if (last != Outcome::done) break;
      starts[count] = static_cast<uint32_t>(packet.start - bytes);
      lengths[count] = static_cast<uint32_t>(packet.length);
      checksums[count] = static_cast<uint8_t>(packet.checksum);
      count++;
      at = (starts[count - 1] + packet.length + 15) & ~size_t{15};
    }
    return count;
  }

  int writeAll(uint8_t* shared, size_t count, napi_value views) {
    const auto* packets = reinterpret_cast<const int32_t*>(shared + OutgoingLayout::packetsAt);
    const auto* pieces = reinterpret_cast<const uint32_t*>(shared + OutgoingLayout::piecesAt);
    uint8_t* heads = shared + OutgoingLayout::headsAt;
    Views bytes(env_, views);
    size_t piece = 0;
    for (size_t i = 0; i < count; i++, packets += OutgoingLayout::kFields) {
      Outgoing packet;
      const size_t pieceCount = static_cast<uint32_t>(packets[OutgoingLayout::pieces]);
      const bool right = pieceCount <= kMaxPieces && piece + pieceCount <= OutgoingLayout::kPieces &&
                         describeHead(packets, heads, packet) &&
                         describePieces(pieces + piece * OutgoingLayout::kPieceFields, pieceCount, bytes, packet);
      piece += pieceCount;
      const Outcome outcome = right ? device_->write(packet) : Outcome::lost;
      if (outcome == Outcome::done) continue;
      lost_++;
      if (outcome == Outcome::gone) return device_->error();
    }
    return 0;
  }

  /** Takes over what JavaScript says of a packet, but nothing that would lead outside its headers. */
  static bool describeHead(const int32_t* fields, uint8_t* heads, Outgoing& packet) {
    const int64_t at = fields[OutgoingLayout::headAt];
    const int64_t length = fields[OutgoingLayout::headLength];
    const int64_t transport = fields[OutgoingLayout::transportAt];
    const int64_t checksum = fields[OutgoingLayout::checksumAt];
    const int64_t segment = fields[OutgoingLayout::segment];
    constexpr int64_t kShortest = 20;
    if (at < int64_t{kHeadroom} || length < kShortest || at + length > int64_t{OutgoingLayout::kHeads}) return false;
    if (transport < 0 || transport > length || checksum < -1 || segment < 0 || segment > 0xffff) return false;
    if (checksum >= 0 && transport + checksum + 2 > length) return false;
    packet.parts[0] = {heads + at, static_cast<size_t>(length)};
    packet.count = 1;
    packet.transportAt = static_cast<size_t>(transport);
    packet.checksumAt = static_cast<int>(checksum);
    packet.segment = static_cast<size_t>(segment);
    return true;
  }

  /** The payloads of a flush: where each array's bytes lie is asked for once, as most packets share theirs with the next. */
  class Views {
   public:
    Views(napi_env env, napi_value array) : env_(env), array_(array) {}

    /** @returns null where there is no such Uint8Array, or where its bytes are gone. */
    uint8_t* find(uint32_t index, size_t& length) {
      if (index != index_) {
        index_ = index;
        data_ = nullptr;
        length_ = 0;
        napi_value view;
        napi_typedarray_type type;
        if (napi_get_element(env_, array_, index, &view) != napi_ok ||
            napi_get_typedarray_info(env_, view, &type, &length_, &data_, nullptr, nullptr) != napi_ok ||
            type != napi_uint8_array) {
          data_ = nullptr;
          length_ = 0;
        }
      }
      length = length_;
      return static_cast<uint8_t*>(data_);
    }

   private:
    napi_env env_;
    napi_value array_;
    uint32_t index_ = UINT32_MAX;
    void* data_ = nullptr;
    size_t length_ = 0;
  };

  static bool describePieces(const uint32_t* pieces, size_t count, Views& views, Outgoing& packet) {
    for (size_t i = 0; i < count; i++, pieces += OutgoingLayout::kPieceFields) {
      size_t length = 0;
      uint8_t* bytes = views.find(pieces[OutgoingLayout::view], length);
      const size_t from = pieces[OutgoingLayout::from];
      const size_t to = pieces[OutgoingLayout::to];
      if (bytes == nullptr || from > to || to > length) return false;
      packet.parts[packet.count++] = {bytes + from, to - from};
    }
    return true;
  }

  /** Closes the device for an error. @returns false: nothing is left to read. */
  bool end(int error) {
    // The callback outlives close() by its handle, the context by being in use.
    const Napi::Function callback = callback_.Value();
    calling_ = true;
    close();
    call(callback, 0, error);
    return false;
  }

  /** Calls JavaScript from the event loop; what it throws is an uncaught exception, as in any other callback. */
  void call(napi_value callback, size_t count, int error) {
    Napi::HandleScope scope(env_);
    napi_value arguments[2];
    napi_value global;
    calling_ = true;
    if (napi_create_uint32(env_, static_cast<uint32_t>(count), &arguments[0]) == napi_ok &&
        napi_create_int32(env_, error, &arguments[1]) == napi_ok && napi_get_global(env_, &global) == napi_ok) {
      napi_make_callback(env_, asyncContext_, global, callback, 2, arguments, nullptr);
    }
    napi_value thrown;
    bool pending = false;
    if (napi_is_exception_pending(env_, &pending) == napi_ok && pending &&
        napi_get_and_clear_last_exception(env_, &thrown) == napi_ok) {
      napi_fatal_exception(env_, thrown);
    }
    calling_ = false;
    if (device_ == nullptr) leaveContext();
  }

  /** Not while a call is under way in it. */
  void leaveContext() {
    if (calling_ || asyncContext_ == nullptr) return;
    napi_async_destroy(env_, asyncContext_);
    asyncContext_ = nullptr;
  }

  /** Gives everything back; what is called later does nothing. */
  void close() {
    if (waiter_ != nullptr) {
      // First, as it knows the descriptor.
      waiter_.reset();
      callback_.Reset();
      Unref();
    }
    device_.reset();
    leaveContext();
  }

  // Where the error is none of the system's.
  static constexpr int kDetached = -1;
  static constexpr int kPollFailed = -2;

  const Napi::Env env_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Waiter> waiter_;
  Napi::FunctionReference callback_;
  napi_async_context asyncContext_ = nullptr;
  bool calling_ = false;
  Napi::Reference<Napi::ArrayBuffer> incoming_;
  Napi::Reference<Napi::ArrayBuffer> outgoing_;
  uint64_t lost_ = 0;
};

/** create(name, header, manyQueues): the descriptor of a new device. */
Napi::Value createDevice(const Napi::CallbackInfo& info) {
  std::string problem;
  const intptr_t descriptor = create(info[0].ToString().Utf8Value(), info[1].ToBoolean(), info[2].ToBoolean(), problem);
  if (descriptor < 0) throw Napi::Error::New(info.Env(), problem);
  return Napi::Number::New(info.Env(), static_cast<double>(descriptor));
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  exports.Set("TunDevice", TunDevice::define(env));
  exports.Set("create", Napi::Function::New(env, createDevice, "create"));
  exports.Set("verifyAll", Napi::Function::New<verifyAll>(env));
  exports.Set("completeAll", Napi::Function::New<completeAll>(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(tun, initialise)
