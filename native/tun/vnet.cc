#include "vnet.h"

#include "segment.h"
#include "wire.h"

namespace sockeye {

namespace {

constexpr uint8_t kNeedsChecksum = 1;
constexpr uint8_t kDataValid = 2;
constexpr uint8_t kGsoTcp4 = 1;
constexpr uint8_t kGsoTcp6 = 4;
constexpr uint8_t kGsoEcn = 0x80;

}  // namespace

Checksum checksumBy(const VnetHeader& header) {
  // One that "needs" its checksum was made by this kernel and never was on a wire: the field holds a part of the sum.
  return (header.flags & (kNeedsChecksum | kDataValid)) != 0 ? Checksum::good : Checksum::unknown;
}

VnetHeader headerFor(const Outgoing& packet) {
  VnetHeader header{};
  if (packet.checksumAt < 0) return header;
  header.flags = kNeedsChecksum;
  header.checksumStart = static_cast<uint16_t>(packet.transportAt);
  header.checksumOffset = static_cast<uint16_t>(packet.checksumAt);
  // How much the kernel puts in the linear part of its buffer; without it, it looks for 64 KB in one piece.
  header.headLength = static_cast<uint16_t>(packet.parts[0].iov_len);
  if (packet.segment == 0) return header;

  const size_t headLength = tcpHeadLength(packet);
  if (headLength == 0 || packet.length() <= headLength + packet.segment) return header;
  header.headLength = static_cast<uint16_t>(headLength);
  header.gsoSize = static_cast<uint16_t>(packet.segment);
  header.gsoType = packet.head()[0] >> 4 == 4 ? kGsoTcp4 : kGsoTcp6;
  if ((packet.head()[packet.transportAt + kTcpFlagsAt] & kCwr) != 0) header.gsoType |= kGsoEcn;
  return header;
}

}  // namespace sockeye
