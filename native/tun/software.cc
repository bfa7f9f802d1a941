#include "software.h"

#include <algorithm>

#include "checksum.h"

namespace sockeye {

Napi::Value verifyAll(const Napi::CallbackInfo& info) {
  const auto bytes = info[0].As<Napi::Uint8Array>();
  const auto starts = info[1].As<Napi::Uint32Array>();
  const auto lengths = info[2].As<Napi::Uint32Array>();
  auto checksums = info[3].As<Napi::Uint8Array>();
  const size_t count = std::min({size_t{info[4].As<Napi::Number>().Uint32Value()}, starts.ElementLength(),
                                 lengths.ElementLength(), checksums.ElementLength()});
  const size_t size = bytes.ByteLength();
  for (size_t i = 0; i < count; i++) {
    const bool isWithin = starts[i] <= size && lengths[i] <= size - starts[i];
    checksums[i] = static_cast<uint8_t>(isWithin ? verify(bytes.Data() + starts[i], lengths[i]) : Checksum::bad);
  }
  return info.Env().Undefined();
}

Napi::Value completeAll(const Napi::CallbackInfo& info) {
  constexpr size_t kFields = 4;
  auto bytes = info[0].As<Napi::Uint8Array>();
  const auto fields = info[1].As<Napi::Int32Array>();
  const size_t count = std::min(size_t{info[2].As<Napi::Number>().Uint32Value()}, fields.ElementLength() / kFields);
  const int64_t size = static_cast<int64_t>(bytes.ByteLength());
  for (size_t i = 0; i < count; i++) {
    const int64_t at = fields[i * kFields], length = fields[i * kFields + 1];
    const int64_t transport = fields[i * kFields + 2], checksum = fields[i * kFields + 3];
    const bool isWithin = at >= 0 && length >= 0 && at + length <= size && transport >= 0 && checksum >= 0 &&
                          transport + checksum + 2 <= length;
    if (!isWithin) continue;
    Outgoing packet;
    packet.parts[0] = {bytes.Data() + at, static_cast<size_t>(length)};
    packet.count = 1;
    packet.transportAt = static_cast<size_t>(transport);
    packet.checksumAt = static_cast<int>(checksum);
    completeChecksum(packet);
  }
  return info.Env().Undefined();
}

}  // namespace sockeye
