// SSH packets sealed and opened with AES-GCM (RFC 5647, as OpenSSH's aes128-gcm@openssh.com and aes256-gcm@openssh.com).
//
// There is no cryptography here. The functions are those of the OpenSSL that the host process carries, looked up by name
// when the module is loaded; where they are missing the module says so and the engine uses node:crypto instead. One cipher
// context serves one direction for as long as its key lives; what changes from packet to packet is the 12-byte nonce.
//
// A packet on the wire (RFC 4253 §6, RFC 5647 §7.3), of which the length is authenticated but not encrypted:
//   uint32 length | byte padding length, payload, padding (length bytes, encrypted) | 16-byte tag
#include <napi.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace {

// What OpenSSL's headers would declare. The control numbers are part of its ABI (evp.h).
struct EvpCipher;
struct EvpContext;
constexpr int kGetTag = 0x10;
constexpr int kSetTag = 0x11;

struct OpenSsl {
  EvpContext* (*newContext)() = nullptr;
  void (*freeContext)(EvpContext*) = nullptr;
  int (*init)(EvpContext*, const EvpCipher*, void*, const uint8_t*, const uint8_t*, int) = nullptr;
  int (*update)(EvpContext*, uint8_t*, int*, const uint8_t*, int) = nullptr;
  int (*final)(EvpContext*, uint8_t*, int*) = nullptr;
  int (*control)(EvpContext*, int, int, void*) = nullptr;
  const EvpCipher* (*aes128)() = nullptr;
  const EvpCipher* (*aes256)() = nullptr;
  int (*random)(uint8_t*, int) = nullptr;
  void (*cleanse)(void*, size_t) = nullptr;
  const char* missing = nullptr;
};

void* findSymbol(const char* name) {
#ifdef _WIN32
  return reinterpret_cast<void*>(GetProcAddress(GetModuleHandle(nullptr), name));
#else
  return dlsym(RTLD_DEFAULT, name);
#endif
}

template <typename Function>
void resolve(OpenSsl& ssl, Function& function, const char* name) {
  function = reinterpret_cast<Function>(findSymbol(name));
  if (function == nullptr && ssl.missing == nullptr) ssl.missing = name;
}

const OpenSsl& openSsl() {
  static const OpenSsl resolved = [] {
    OpenSsl ssl;
    resolve(ssl, ssl.newContext, "EVP_CIPHER_CTX_new");
    resolve(ssl, ssl.freeContext, "EVP_CIPHER_CTX_free");
    resolve(ssl, ssl.init, "EVP_CipherInit_ex");
    resolve(ssl, ssl.update, "EVP_CipherUpdate");
    resolve(ssl, ssl.final, "EVP_CipherFinal_ex");
    resolve(ssl, ssl.control, "EVP_CIPHER_CTX_ctrl");
    resolve(ssl, ssl.aes128, "EVP_aes_128_gcm");
    resolve(ssl, ssl.aes256, "EVP_aes_256_gcm");
    resolve(ssl, ssl.random, "RAND_bytes");
    resolve(ssl, ssl.cleanse, "OPENSSL_cleanse");
    return ssl;
  }();
  return resolved;
}

constexpr size_t kLengthBytes = 4;
constexpr size_t kTagBytes = 16;
constexpr size_t kBlockBytes = 16;
constexpr size_t kNonceBytes = 12;
constexpr size_t kMinPadding = 4;
// padding length, message number, recipient channel, data length (RFC 4254 §5.2)
constexpr size_t kChannelDataHeader = 1 + 1 + 4 + 4;
constexpr uint8_t kMessageChannelData = 94;
// Messages that belong to a key exchange (RFC 4253 §12): after one of them the key can change.
constexpr uint8_t kFirstKexMessage = 20;
constexpr uint8_t kLastKexMessage = 49;

uint32_t readUint32(const uint8_t* p) {
  return (uint32_t{p[0]} << 24) | (uint32_t{p[1]} << 16) | (uint32_t{p[2]} << 8) | uint32_t{p[3]};
}

void writeUint32(uint8_t* p, uint32_t value) {
  p[0] = static_cast<uint8_t>(value >> 24);
  p[1] = static_cast<uint8_t>(value >> 16);
  p[2] = static_cast<uint8_t>(value >> 8);
  p[3] = static_cast<uint8_t>(value);
}

/** One direction's key and nonce. The key itself lives only inside OpenSSL's context, which wipes it when freed. */
class GcmContext {
 public:
  ~GcmContext() { free(); }

  bool start(const uint8_t* key, size_t keyBytes, const uint8_t* nonce, bool encrypt) {
    const OpenSsl& ssl = openSsl();
    context_ = ssl.newContext();
    if (context_ == nullptr) return false;
    std::memcpy(nonce_.data(), nonce, kNonceBytes);
    const EvpCipher* cipher = keyBytes == 16 ? ssl.aes128() : ssl.aes256();
    return ssl.init(context_, cipher, nullptr, key, nonce_.data(), encrypt ? 1 : 0) == 1;
  }

  bool alive() const { return context_ != nullptr; }

  void free() {
    if (context_ == nullptr) return;
    openSsl().freeContext(context_);
    context_ = nullptr;
    openSsl().cleanse(nonce_.data(), nonce_.size());
  }

  /** Begins the next packet: sets its nonce, counts it up for the one after (RFC 5647 §7.1), authenticates the length. */
  bool begin(const uint8_t* length) {
    const OpenSsl& ssl = openSsl();
    int n = 0;
    if (ssl.init(context_, nullptr, nullptr, nullptr, nonce_.data(), -1) != 1) return false;
    for (size_t i = kNonceBytes; i-- > 4;) {
      if (++nonce_[i] != 0) break;
    }
    return ssl.update(context_, nullptr, &n, length, kLengthBytes) == 1;
  }

  bool update(uint8_t* out, const uint8_t* in, size_t bytes) {
    int n = 0;
    return openSsl().update(context_, out, &n, in, static_cast<int>(bytes)) == 1 &&
           static_cast<size_t>(n) == bytes;
  }

  bool seal(uint8_t* tag) {
    int n = 0;
    std::array<uint8_t, kBlockBytes> rest;
    return openSsl().final(context_, rest.data(), &n) == 1 &&
           openSsl().control(context_, kGetTag, kTagBytes, tag) == 1;
  }

  bool verify(const uint8_t* tag) {
    int n = 0;
    std::array<uint8_t, kBlockBytes> rest;
    std::array<uint8_t, kTagBytes> expected;
    std::memcpy(expected.data(), tag, kTagBytes);
    return openSsl().control(context_, kSetTag, kTagBytes, expected.data()) == 1 &&
           openSsl().final(context_, rest.data(), &n) == 1;
  }

 private:
  EvpContext* context_ = nullptr;
  std::array<uint8_t, kNonceBytes> nonce_{};
};

struct Bytes {
  uint8_t* data = nullptr;
  size_t length = 0;
};

Bytes bytesOf(const Napi::CallbackInfo& info, size_t index) {
  if (!info[index].IsTypedArray()) throw Napi::TypeError::New(info.Env(), "a Uint8Array is needed");
  auto array = info[index].As<Napi::Uint8Array>();
  if (array.TypedArrayType() != napi_uint8_array) {
    throw Napi::TypeError::New(info.Env(), "a Uint8Array is needed");
  }
  return {array.Data(), array.ByteLength()};
}

/** A number from JavaScript, refused unless it lies in 0 … limit: every offset and length is checked against its buffer. */
size_t sizeOf(const Napi::CallbackInfo& info, size_t index, size_t limit) {
  const double value = info[index].IsNumber() ? info[index].As<Napi::Number>().DoubleValue() : -1;
  if (!(value >= 0 && value <= static_cast<double>(limit))) {
    throw Napi::RangeError::New(info.Env(), "argument " + std::to_string(index) + " is outside its buffer");
  }
  return static_cast<size_t>(value);
}

void startContext(const Napi::CallbackInfo& info, GcmContext& context, bool encrypt) {
  if (openSsl().missing != nullptr) throw Napi::Error::New(info.Env(), "OpenSSL's functions are missing");
  const Bytes key = bytesOf(info, 0);
  const Bytes nonce = bytesOf(info, 1);
  if ((key.length != 16 && key.length != 32) || nonce.length != kNonceBytes) {
    throw Napi::RangeError::New(info.Env(), "AES-GCM takes a key of 16 or 32 bytes and a nonce of 12");
  }
  if (!context.start(key.data, key.length, nonce.data, encrypt)) {
    throw Napi::Error::New(info.Env(), "OpenSSL refused to start AES-GCM");
  }
}

void needAlive(const Napi::CallbackInfo& info, const GcmContext& context) {
  if (!context.alive()) throw Napi::Error::New(info.Env(), "the cipher has been freed");
}

[[noreturn]] void failed(const Napi::CallbackInfo& info, const char* what) {
  throw Napi::Error::New(info.Env(), std::string("OpenSSL failed while ") + what);
}

class Sealer : public Napi::ObjectWrap<Sealer> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "AesGcmSealer",
                       {InstanceMethod("seal", &Sealer::seal), InstanceMethod("sealData", &Sealer::sealData),
                        InstanceMethod("sealPayload", &Sealer::sealPayload), InstanceMethod("free", &Sealer::release)});
  }

  explicit Sealer(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Sealer>(info) {
    startContext(info, context_, true);
  }

  /** seal(packet, out, at): a whole plain packet, its length first, into `out` from `at`. Returns where it ends. */
  Napi::Value seal(const Napi::CallbackInfo& info) {
    needAlive(info, context_);
    const Bytes packet = bytesOf(info, 0);
    const Bytes out = bytesOf(info, 1);
    const size_t at = sizeOf(info, 2, out.length);
    if (packet.length < kLengthBytes + kBlockBytes || out.length - at < packet.length + kTagBytes) {
      throw Napi::RangeError::New(info.Env(), "the packet does not fit");
    }
    uint8_t* p = out.data + at;
    std::memcpy(p, packet.data, kLengthBytes);
    const size_t body = packet.length - kLengthBytes;
    if (!context_.begin(p) || !context_.update(p + kLengthBytes, packet.data + kLengthBytes, body) ||
        !context_.seal(p + packet.length)) {
      failed(info, "sealing a packet");
    }
    return Napi::Number::New(info.Env(), static_cast<double>(at + packet.length + kTagBytes));
  }

  /**
   * sealData(channel, data, from, to, maxData, out, at): data[from, to) as CHANNEL_DATA packets of at most maxData bytes
   * each, encrypted from where they lie straight into `out`. Returns where the last one ends.
   */
  Napi::Value sealData(const Napi::CallbackInfo& info) {
    needAlive(info, context_);
    const uint32_t channel = static_cast<uint32_t>(sizeOf(info, 0, UINT32_MAX));
    const Bytes data = bytesOf(info, 1);
    const size_t to = sizeOf(info, 3, data.length);
    size_t from = sizeOf(info, 2, to);
    const size_t maxData = sizeOf(info, 4, 1 << 20);
    const Bytes out = bytesOf(info, 5);
    size_t at = sizeOf(info, 6, out.length);
    if (maxData == 0) throw Napi::RangeError::New(info.Env(), "a packet must hold at least a byte");

    while (from < to) {
      const size_t bytes = to - from < maxData ? to - from : maxData;
      size_t padding = kBlockBytes - (kChannelDataHeader + bytes) % kBlockBytes;
      if (padding < kMinPadding) padding += kBlockBytes;
      const size_t body = kChannelDataHeader + bytes + padding;
      if (out.length - at < kLengthBytes + body + kTagBytes) {
        throw Napi::RangeError::New(info.Env(), "the packets do not fit");
      }
      std::array<uint8_t, kChannelDataHeader> header;
      header[0] = static_cast<uint8_t>(padding);
      header[1] = kMessageChannelData;
      writeUint32(header.data() + 2, channel);
      writeUint32(header.data() + 6, static_cast<uint32_t>(bytes));

      uint8_t* p = out.data + at;
      writeUint32(p, static_cast<uint32_t>(body));
      if (!context_.begin(p)) failed(info, "beginning a packet");
      p += kLengthBytes;
      if (!context_.update(p, header.data(), header.size())) failed(info, "sealing a header");
      p += header.size();
      if (!context_.update(p, data.data + from, bytes)) failed(info, "sealing data");
      p += bytes;
      if (!context_.update(p, randomPadding(padding), padding) || !context_.seal(p + padding)) {
        failed(info, "sealing the padding");
      }
      from += bytes;
      at += kLengthBytes + body + kTagBytes;
    }
    return Napi::Number::New(info.Env(), static_cast<double>(at));
  }

  /** sealPayload(payload, out, at): a message as a packet of its own. Returns where it ends. */
  Napi::Value sealPayload(const Napi::CallbackInfo& info) {
    needAlive(info, context_);
    const Bytes payload = bytesOf(info, 0);
    const Bytes out = bytesOf(info, 1);
    const size_t at = sizeOf(info, 2, out.length);
    size_t padding = kBlockBytes - (1 + payload.length) % kBlockBytes;
    if (padding < kMinPadding) padding += kBlockBytes;
    const size_t body = 1 + payload.length + padding;
    if (out.length - at < kLengthBytes + body + kTagBytes) {
      throw Napi::RangeError::New(info.Env(), "the packet does not fit");
    }
    uint8_t* p = out.data + at;
    const uint8_t paddingByte = static_cast<uint8_t>(padding);
    writeUint32(p, static_cast<uint32_t>(body));
    if (!context_.begin(p)) failed(info, "beginning a packet");
    p += kLengthBytes;
    if (!context_.update(p, &paddingByte, 1) || !context_.update(p + 1, payload.data, payload.length) ||
        !context_.update(p + 1 + payload.length, randomPadding(padding), padding) ||
        !context_.seal(p + body)) {
      failed(info, "sealing a message");
    }
    return Napi::Number::New(info.Env(), static_cast<double>(at + kLengthBytes + body + kTagBytes));
  }

  void release(const Napi::CallbackInfo&) { context_.free(); }

 private:
  /** RFC 4253 §6 asks for random padding; it is drawn in bulk. */
  const uint8_t* randomPadding(size_t bytes) {
    if (random_.size() - randomUsed_ < bytes) {
      if (openSsl().random(random_.data(), static_cast<int>(random_.size())) != 1) random_.fill(0);
      randomUsed_ = 0;
    }
    const uint8_t* p = random_.data() + randomUsed_;
    randomUsed_ += bytes;
    return p;
  }

  GcmContext context_;
  std::array<uint8_t, 1024> random_{};
  size_t randomUsed_ = random_.size();
};

// How Opener::open ended; JavaScript has the same list.
enum Outcome : uint32_t { kMore = 0, kBadLength = 1, kBadTag = 2, kBadPadding = 3, kKeyExchange = 4, kFull = 5 };

// What of a packet's payload comes before the data of CHANNEL_DATA: message number, recipient channel, data length.
constexpr size_t kPayloadHeader = kChannelDataHeader - 1;
// records[0 … 4]: where reading stopped, why, how many packets were opened, and of the packet that is arriving how many
// bytes were decrypted and where they lie.
constexpr size_t kRecordsHead = 5;
// Then for each payload: offset, length, whether it is CHANNEL_DATA.
constexpr size_t kRecordWords = 3;

class Opener : public Napi::ObjectWrap<Opener> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "AesGcmOpener",
                       {InstanceMethod("open", &Opener::open), InstanceMethod("free", &Opener::release)});
  }

  /** new AesGcmOpener(key, nonce, maxLength): a packet longer than maxLength is refused before anything is kept of it. */
  explicit Opener(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Opener>(info) {
    maxLength_ = sizeOf(info, 2, 1 << 24);
    startContext(info, context_, false);
  }

  /**
   * open(data, from, to, out, at, records): decrypts the stream data[from, to), however its packets are cut, into `out`
   * from `at`, up to the end of the first packet of a key exchange. Adjacent CHANNEL_DATA for one channel becomes one
   * payload. Of a packet that is not complete nothing is told but where its decrypted bytes lie: the caller has them at
   * out[at + kPayloadHeader …] when it calls again. Fills `records` as said above. Returns how many payloads there are. Nothing is thrown for what a peer sends.
   */
  Napi::Value open(const Napi::CallbackInfo& info) {
    needAlive(info, context_);
    const Bytes data = bytesOf(info, 0);
    const size_t to = sizeOf(info, 2, data.length);
    const size_t from = sizeOf(info, 1, to);
    const Bytes out = bytesOf(info, 3);
    const size_t at = sizeOf(info, 4, out.length);
    if (!info[5].IsTypedArray() || info[5].As<Napi::TypedArray>().TypedArrayType() != napi_uint32_array) {
      throw Napi::TypeError::New(info.Env(), "a Uint32Array is needed");
    }
    auto records = info[5].As<Napi::Uint32Array>();
    if (records.ElementLength() < kRecordsHead + kRecordWords) {
      throw Napi::RangeError::New(info.Env(), "no room for a record");
    }
    // Each byte that comes yields at most one, and the first payload has its header before it.
    if (out.length - at < kPayloadHeader + restBytes_ + (to - from)) {
      throw Napi::RangeError::New(info.Env(), "the payloads do not fit");
    }
    Batch batch{data.data + from, data.data + to, out.data, at, records.Data(),
                (records.ElementLength() - kRecordsHead) / kRecordWords};
    if (stage_ == Stage::kRest || stage_ == Stage::kTag) batch.rest = at + kPayloadHeader;
    const Outcome outcome = run(batch);
    batch.records[0] = static_cast<uint32_t>(batch.in - data.data);
    batch.records[1] = outcome;
    batch.records[2] = batch.packets;
    batch.records[3] = static_cast<uint32_t>(restBytes_);
    batch.records[4] = static_cast<uint32_t>(batch.rest);
    return Napi::Number::New(info.Env(), static_cast<double>(batch.count));
  }

  void release(const Napi::CallbackInfo&) { context_.free(); }

 private:
  /** What of the packet comes next. */
  enum class Stage { kLength, kHeader, kRest, kTag };

  /** One call of open. */
  struct Batch {
    const uint8_t* in;
    const uint8_t* end;
    uint8_t* out;
    /** Where the payloads end that are verified. */
    size_t at;
    uint32_t* records;
    size_t room;
    size_t count = 0;
    uint32_t packets = 0;
    /** Where the arriving packet's rest lies. */
    size_t rest = 0;
    /** The last payload is CHANNEL_DATA, so that more for its channel can be put behind it. */
    bool open = false;
    /** The arriving packet's rest has been put there. */
    bool joins = false;

    uint32_t* last() const { return records + kRecordsHead + kRecordWords * (count - 1); }
  };

  Outcome run(Batch& batch) {
    while (batch.in < batch.end) {
      switch (stage_) {
        case Stage::kLength:
          if (batch.count == batch.room) return kFull;
          if (!take(batch, lengthField_.data(), kLengthBytes)) return kMore;
          length_ = readUint32(lengthField_.data());
          if (length_ < kBlockBytes || length_ % kBlockBytes != 0 || length_ > maxLength_) return kBadLength;
          if (!context_.begin(lengthField_.data())) return kBadTag;
          advance(Stage::kHeader);
          break;
        case Stage::kHeader: {
          const size_t bytes = available(batch, kChannelDataHeader - got_);
          if (!context_.update(header_.data() + got_, batch.in, bytes)) return kBadTag;
          batch.in += bytes;
          got_ += bytes;
          if (got_ < kChannelDataHeader) return kMore;
          advance(Stage::kRest);
          batch.joins = batch.open && isChannelData() &&
                        std::memcmp(batch.out + batch.last()[0] + 1, header_.data() + 2, 4) == 0;
          batch.rest = batch.joins ? batch.at : batch.at + kPayloadHeader;
          break;
        }
        case Stage::kRest: {
          const size_t bytes = available(batch, length_ - kChannelDataHeader - restBytes_);
          if (!context_.update(batch.out + batch.rest + restBytes_, batch.in, bytes)) return kBadTag;
          batch.in += bytes;
          restBytes_ += bytes;
          if (restBytes_ == length_ - kChannelDataHeader) advance(Stage::kTag);
          break;
        }
        case Stage::kTag: {
          if (!take(batch, tag_.data(), kTagBytes)) return kMore;
          if (!context_.verify(tag_.data())) return kBadTag;
          if (header_[0] < kMinPadding || header_[0] + size_t{1} > length_) return kBadPadding;
          advance(Stage::kLength);
          const bool ofKeyExchange = finishPacket(batch);
          restBytes_ = 0;
          if (ofKeyExchange) return kKeyExchange;
          break;
        }
      }
    }
    return kMore;
  }

  /** The arriving packet is what the peer sealed. Returns whether it belongs to a key exchange. */
  bool finishPacket(Batch& batch) {
    const size_t payload = length_ - 1 - header_[0];
    batch.packets++;
    if (batch.joins) {
      uint32_t* record = batch.last();
      const size_t bytes = payload - kPayloadHeader;
      record[1] += static_cast<uint32_t>(bytes);
      writeUint32(batch.out + record[0] + 5, record[1] - static_cast<uint32_t>(kPayloadHeader));
      batch.at += bytes;
      batch.joins = false;
      return false;
    }
    const size_t start = batch.rest - kPayloadHeader;
    std::memcpy(batch.out + start, header_.data() + 1, kPayloadHeader);
    batch.count++;
    batch.open = isChannelData();
    uint32_t* record = batch.last();
    record[0] = static_cast<uint32_t>(start);
    record[1] = static_cast<uint32_t>(payload);
    record[2] = batch.open ? 1 : 0;
    batch.at = start + payload;
    return payload > 0 && header_[1] >= kFirstKexMessage && header_[1] <= kLastKexMessage;
  }

  /** Whether the header is that of CHANNEL_DATA which fills its packet; true only of a peer's word until it is verified. */
  bool isChannelData() const {
    const size_t overhead = kChannelDataHeader + header_[0];
    return header_[1] == kMessageChannelData && length_ >= overhead &&
           readUint32(header_.data() + 6) == length_ - overhead;
  }

  static size_t available(const Batch& batch, size_t wanted) {
    const size_t there = static_cast<size_t>(batch.end - batch.in);
    return there < wanted ? there : wanted;
  }

  /** Takes what there is of a field of this many bytes. Returns whether it is complete. */
  bool take(Batch& batch, uint8_t* field, size_t fieldBytes) {
    const size_t bytes = available(batch, fieldBytes - got_);
    std::memcpy(field + got_, batch.in, bytes);
    batch.in += bytes;
    got_ += bytes;
    return got_ == fieldBytes;
  }

  void advance(Stage stage) {
    stage_ = stage;
    got_ = 0;
  }

  GcmContext context_;
  size_t maxLength_ = 0;
  Stage stage_ = Stage::kLength;
  /** Bytes of the stage's own field: length, header or tag. */
  size_t got_ = 0;
  size_t length_ = 0;
  /** Bytes decrypted of what follows the header. */
  size_t restBytes_ = 0;
  std::array<uint8_t, kLengthBytes> lengthField_{};
  std::array<uint8_t, kChannelDataHeader> header_{};
  std::array<uint8_t, kTagBytes> tag_{};
};

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  if (openSsl().missing != nullptr) {
    exports.Set("unavailable", std::string("this runtime does not export ") + openSsl().missing);
    return exports;
  }
  exports.Set("AesGcmSealer", Sealer::define(env));
  exports.Set("AesGcmOpener", Opener::define(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(sshcrypto, initialise)
