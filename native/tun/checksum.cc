#include "checksum.h"

#include "wire.h"

namespace sockeye {

namespace {

uint64_t load(const uint8_t* bytes) {
  uint64_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

uint16_t fold(uint64_t sum) {
  sum = (sum >> 32) + (sum & 0xffffffff);
  sum = (sum >> 32) + (sum & 0xffffffff);
  sum = (sum >> 16) + (sum & 0xffff);
  sum = (sum >> 16) + (sum & 0xffff);
  return static_cast<uint16_t>(sum);
}

/** The sum of bytes that begin at an even offset, folded. Four independent chains keep the processor's adders busy. */
uint16_t sumOf(const uint8_t* bytes, size_t length) {
  uint64_t a = 0, b = 0, c = 0, d = 0;
  uint64_t carryA = 0, carryB = 0, carryC = 0, carryD = 0;
  for (; length >= 32; bytes += 32, length -= 32) {
    const uint64_t w = load(bytes), x = load(bytes + 8), y = load(bytes + 16), z = load(bytes + 24);
    carryA += (a += w) < w;
    carryB += (b += x) < x;
    carryC += (c += y) < y;
    carryD += (d += z) < z;
  }
  for (; length >= 8; bytes += 8, length -= 8) {
    const uint64_t w = load(bytes);
    carryA += (a += w) < w;
  }
  if (length > 0) {
    uint64_t w = 0;
    std::memcpy(&w, bytes, length);
    carryB += (b += w) < w;
  }
  return fold(uint64_t{fold(a)} + fold(b) + fold(c) + fold(d) + fold(carryA + carryB + carryC + carryD));
}

constexpr uint16_t kRight = 0xffff;

}  // namespace

void Sum::add(const uint8_t* bytes, size_t length) {
  const uint16_t sum = sumOf(bytes, length);
  sum_ += odd_ ? static_cast<uint16_t>((sum << 8) | (sum >> 8)) : sum;
  odd_ ^= (length & 1) != 0;
}

void Sum::addNumber(uint32_t value) {
  uint8_t bytes[4];
  write32(bytes, value);
  sum_ += sumOf(bytes, sizeof bytes);
}

uint16_t Sum::folded() const { return fold(sum_); }

Checksum verify(const uint8_t* packet, size_t length) {
  if (length < kIp4Head) return Checksum::unknown;
  const unsigned version = packet[0] >> 4;
  size_t transportAt, end;
  uint8_t protocol;
  const uint8_t* addresses;
  size_t addressBytes;
  if (version == 4) {
    transportAt = (packet[0] & 0x0f) * size_t{4};
    end = read16(packet + 2);
    const bool fragment = (read16(packet + 6) & 0x3fff) != 0;
    if (transportAt < kIp4Head || fragment) return Checksum::unknown;
    protocol = packet[9];
    addresses = packet + 12;
    addressBytes = 4;
  } else if (version == 6 && length >= kIp6Head) {
    transportAt = kIp6Head;
    end = kIp6Head + read16(packet + 4);
    protocol = packet[6];
    addresses = packet + 8;
    addressBytes = 16;
  } else {
    return Checksum::unknown;
  }
  if (end > length || end < transportAt) return Checksum::unknown;

  const uint8_t* transport = packet + transportAt;
  size_t transportBytes = end - transportAt;
  if (protocol == kTcp) {
    if (transportBytes < kTcpHead) return Checksum::unknown;
  } else if (protocol == kUdp) {
    if (transportBytes < kUdpHead) return Checksum::unknown;
    const size_t said = read16(transport + 4);
    if (said < kUdpHead || said > transportBytes) return Checksum::unknown;
    transportBytes = said;
    // None was computed (RFC 768), which IPv6 forbids (RFC 8200 §8.1).
    if (read16(transport + 6) == 0) return version == 4 ? Checksum::good : Checksum::bad;
  } else {
    return Checksum::unknown;
  }

  Sum sum;
  sum.add(addresses, 2 * addressBytes);
  sum.addNumber(protocol);
  sum.addNumber(static_cast<uint32_t>(transportBytes));
  sum.add(transport, transportBytes);
  return sum.folded() == kRight ? Checksum::good : Checksum::bad;
}

void completeChecksum(Outgoing& packet) {
  uint8_t* head = static_cast<uint8_t*>(packet.parts[0].iov_base);
  Sum sum;
  sum.add(head + packet.transportAt, packet.parts[0].iov_len - packet.transportAt);
  for (int i = 1; i < packet.count; i++) {
    sum.add(static_cast<const uint8_t*>(packet.parts[i].iov_base), packet.parts[i].iov_len);
  }
  uint16_t field = sum.complement();
  // To UDP a field of zero means that there is no checksum (RFC 768); to TCP both zeros are the same.
  if (field == 0) field = 0xffff;
  std::memcpy(head + packet.transportAt + packet.checksumAt, &field, sizeof field);
}

}  // namespace sockeye
