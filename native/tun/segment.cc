#include "segment.h"

#include <algorithm>

#include "checksum.h"
#include "wire.h"

namespace sockeye {

namespace {

/** The largest headers that are cut: an IPv6 header with extensions, and TCP's of at most 60 bytes. */
constexpr size_t kMaxHead = 512;

/** Walks through the payload, whatever the parts in which it lies. */
class Payload {
 public:
  Payload(const Outgoing& packet, size_t headLength) : packet_(packet), at_(headLength) {}

  /** Appends the next `bytes` to `parts`. @returns how many parts they are. */
  int take(size_t bytes, iovec* parts) {
    int count = 0;
    while (bytes > 0) {
      const iovec& part = packet_.parts[part_];
      const size_t here = std::min(bytes, part.iov_len - at_);
      if (here > 0) parts[count++] = {static_cast<uint8_t*>(part.iov_base) + at_, here};
      bytes -= here;
      at_ += here;
      if (at_ == part.iov_len) {
        part_++;
        at_ = 0;
      }
    }
    return count;
  }

 private:
  const Outgoing& packet_;
  int part_ = 0;
  size_t at_;
};

/** Gives a segment's headers, a copy of the packet's, what is its own. `offset` is that of its payload in the packet's. */
struct Segment {
  size_t index;
  size_t offset;
  size_t payload;
  bool last;
};

void adapt(uint8_t* head, const Outgoing& packet, size_t headLength, const Segment& segment) {
  const size_t length = headLength + segment.payload;
  if (head[0] >> 4 == 4) {
    const size_t ipHead = (head[0] & 0x0f) * size_t{4};
    write16(head + 2, static_cast<uint32_t>(length));
    write16(head + 4, static_cast<uint32_t>(read16(head + 4) + segment.index));
    write16(head + 10, 0);
    Sum sum;
    sum.add(head, std::min(ipHead, packet.transportAt));
    const uint16_t field = sum.complement();
    std::memcpy(head + 10, &field, sizeof field);
  } else {
    write16(head + 4, static_cast<uint32_t>(length - kIp6Head));
  }

  uint8_t* tcp = head + packet.transportAt;
  write32(tcp + 4, static_cast<uint32_t>(read32(tcp + 4) + segment.offset));
  if (!segment.last) tcp[kTcpFlagsAt] &= static_cast<uint8_t>(~(kFin | kPsh));
  if (segment.index > 0) tcp[kTcpFlagsAt] &= static_cast<uint8_t>(~kCwr);

  // The field holds the pseudo-header's sum with the whole packet's length: this segment's takes its place.
  Sum sum;
  sum.add(tcp + kTcpChecksumAt, 2);
  sum.addNumber(~static_cast<uint32_t>(packet.length() - packet.transportAt));
  sum.addNumber(static_cast<uint32_t>(length - packet.transportAt));
  const uint16_t field = sum.folded();
  std::memcpy(tcp + kTcpChecksumAt, &field, sizeof field);
}

}  // namespace

size_t tcpHeadLength(const Outgoing& packet) {
  const size_t there = packet.parts[0].iov_len;
  if (there < packet.transportAt + kTcpHead) return 0;
  const size_t tcpHead = (packet.head()[packet.transportAt + 12] >> 4) * size_t{4};
  if (tcpHead < kTcpHead || there < packet.transportAt + tcpHead) return 0;
  return packet.transportAt + tcpHead;
}

Outcome writeInSoftware(Device& device, Outgoing& packet) {
  const size_t headLength = packet.segment > 0 ? tcpHeadLength(packet) : 0;
  const size_t length = packet.length();
  if (packet.segment == 0 || length <= headLength + packet.segment) {
    if (packet.checksumAt >= 0) completeChecksum(packet);
    return device.put(packet.parts, packet.count);
  }
  const size_t ipHead = packet.head()[0] >> 4 == 4 ? kIp4Head : kIp6Head;
  if (headLength == 0 || headLength > kMaxHead || packet.transportAt < ipHead) return Outcome::lost;

  uint8_t room[kHeadroom + kMaxHead];
  uint8_t* head = room + kHeadroom;
  Payload payload(packet, headLength);
  Outcome result = Outcome::done;
  Outgoing part;
  part.transportAt = packet.transportAt;
  part.checksumAt = packet.checksumAt;
  for (size_t index = 0, offset = 0; offset < length - headLength; index++, offset += packet.segment) {
    const size_t left = length - headLength - offset;
    const Segment segment{index, offset, std::min(packet.segment, left), left <= packet.segment};
    std::memcpy(head, packet.head(), headLength);
    adapt(head, packet, headLength, segment);
    part.parts[0] = {head, headLength};
    part.count = 1 + payload.take(segment.payload, part.parts + 1);
    completeChecksum(part);
    const Outcome outcome = device.put(part.parts, part.count);
    if (outcome == Outcome::gone) return outcome;
    if (outcome != Outcome::done) result = outcome;
  }
  return result;
}

}  // namespace sockeye
