// Checks the cutting of TCP packets and the checksums against a plain reference, with packets made at random. Built with the
// sanitizers and run by test/system/tun-native.test.ts; it ends with status 0, or says what is wrong.
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "checksum.h"
#include "segment.h"
#include "wire.h"

namespace {

using namespace sockeye;
using Bytes = std::vector<uint8_t>;

std::mt19937 randomly(20260722);
size_t between(size_t low, size_t high) { return low + randomly() % (high - low + 1); }

[[noreturn]] void wrong(const char* what) {
  std::fprintf(stderr, "wrong: %s\n", what);
  std::exit(1);
}
void expect(bool right, const char* what) {
  if (!right) wrong(what);
}

/** The sum two bytes at a time, as RFC 1071 §4.1 has it. */
uint32_t plainSum(const uint8_t* bytes, size_t length, uint32_t sum) {
  for (size_t i = 0; i < length; i++) sum += i % 2 == 0 ? bytes[i] << 8 : bytes[i];
  while (sum > 0xffff) sum = (sum >> 16) + (sum & 0xffff);
  return sum;
}

struct Shape {
  bool v6;
  size_t ipHead;
  uint8_t protocol;
};

uint32_t pseudoSum(const Bytes& packet, const Shape& shape) {
  const size_t at = shape.v6 ? 8 : 12;
  const uint32_t sum = plainSum(packet.data() + at, shape.v6 ? 32 : 8, shape.protocol);
  return plainSum(nullptr, 0, sum + static_cast<uint32_t>(packet.size() - shape.ipHead));
}

/** A device that keeps what is put. */
class Recorder final : public Device {
 public:
  std::vector<Bytes> packets;
  std::string name() const override { return "recorder"; }
  unsigned mtu() const override { return 1500; }
  bool completesChecksums() const override { return false; }
  bool segments() const override { return false; }
  Outcome read(uint8_t*, Incoming&) override { return Outcome::empty; }
  Outcome write(Outgoing& packet) override { return writeInSoftware(*this, packet); }
  Outcome put(iovec* parts, int count) override {
    Bytes packet;
    for (int i = 0; i < count; i++) {
      const auto* bytes = static_cast<const uint8_t*>(parts[i].iov_base);
      packet.insert(packet.end(), bytes, bytes + parts[i].iov_len);
    }
    packets.push_back(packet);
    return Outcome::done;
  }
  intptr_t waitable() const override { return -1; }
};

Bytes randomBytes(size_t length) {
  Bytes bytes(length);
  for (auto& byte : bytes) byte = static_cast<uint8_t>(randomly());
  return bytes;
}

void setLength(Bytes& packet, bool v6) {
  if (v6) write16(packet.data() + 4, static_cast<uint32_t>(packet.size() - kIp6Head));
  else write16(packet.data() + 2, static_cast<uint32_t>(packet.size()));
}

/** A packet with a payload of `bytes`, of which the checksum field holds the pseudo-header's sum. */
Bytes makePacket(const Shape& shape, size_t transportHead, size_t bytes) {
  Bytes packet = randomBytes(shape.ipHead + transportHead + bytes);
  packet[0] = static_cast<uint8_t>(shape.v6 ? 0x60 : 0x40 | (shape.ipHead / 4));
  if (!shape.v6) packet[6] = packet[7] = 0;
  packet[shape.v6 ? 6 : 9] = shape.protocol;
  setLength(packet, shape.v6);
  uint8_t* transport = packet.data() + shape.ipHead;
  if (shape.protocol == kTcp) transport[12] = static_cast<uint8_t>(transportHead / 4 << 4);
  else write16(transport + 4, static_cast<uint32_t>(packet.size() - shape.ipHead));
  write16(transport + (shape.protocol == kTcp ? kTcpChecksumAt : 6), pseudoSum(packet, shape));
  return packet;
}

/** Writes it in parts of any size, the headers in one. Each part lies in memory of its own, for the sanitizer to watch. */
std::vector<Bytes> write(const Bytes& packet, const Shape& shape, size_t headLength, size_t segment) {
  std::vector<Bytes> parts;
  const size_t inHead = std::min(packet.size(), headLength + (between(0, 3) == 0 ? between(0, 40) : 0));
  Bytes first(kHeadroom);
  first.insert(first.end(), packet.begin(), packet.begin() + static_cast<long>(inHead));
  parts.push_back(first);
  for (size_t at = inHead; at < packet.size();) {
    const size_t left = packet.size() - at;
    const size_t bytes = parts.size() == kMaxPieces ? left : std::min(left, between(0, left / 4 + 3));
    parts.emplace_back(packet.begin() + static_cast<long>(at), packet.begin() + static_cast<long>(at + bytes));
    at += bytes;
  }
  Outgoing out;
  for (auto& part : parts) out.parts[out.count++] = {part.data(), part.size()};
  out.parts[0] = {parts[0].data() + kHeadroom, inHead};
  out.transportAt = shape.ipHead;
  out.checksumAt = shape.protocol == kTcp ? static_cast<int>(kTcpChecksumAt) : 6;
  out.segment = segment;
  Recorder recorder;
  expect(recorder.write(out) == Outcome::done, "a right packet is written");
  return recorder.packets;
}

void checkVerdict(Bytes packet, size_t at) {
  expect(verify(packet.data(), packet.size()) == Checksum::good, "a right checksum is good");
  packet[at] ^= static_cast<uint8_t>(between(1, 255));
  expect(verify(packet.data(), packet.size()) == Checksum::bad, "a packet with a changed byte is bad");
}

void checkCutting() {
  const bool v6 = between(0, 1) == 1;
  const Shape shape{v6, v6 ? kIp6Head : kIp4Head + 4 * between(0, 10), kTcp};
  const size_t tcpHead = kTcpHead + 4 * between(0, 10);
  const size_t headLength = shape.ipHead + tcpHead;
  const size_t segment = between(1, 1460);
  const size_t payload = between(0, std::min<size_t>(20000, segment * 40));
  const Bytes packet = makePacket(shape, tcpHead, payload);
  const auto cut = write(packet, shape, headLength, segment);
  const uint8_t* original = packet.data() + shape.ipHead;
  expect(cut.size() == (payload <= segment ? 1 : (payload + segment - 1) / segment), "as many segments as needed");
  Bytes joined;
  for (size_t i = 0; i < cut.size(); i++) {
    const Bytes& part = cut[i];
    const bool last = i + 1 == cut.size();
    const uint8_t* tcp = part.data() + shape.ipHead;
    expect(verify(part.data(), part.size()) == Checksum::good, "a segment's checksum");
    expect((v6 ? read16(&part[4]) + kIp6Head : read16(&part[2])) == part.size(), "a segment's length");
    if (!v6 && cut.size() > 1) {
      expect(plainSum(part.data(), shape.ipHead, 0) == 0xffff, "a segment's header checksum");
      expect(read16(&part[4]) == static_cast<uint16_t>(read16(&packet[4]) + i), "a segment's identification");
    }
    expect(read32(tcp + 4) == static_cast<uint32_t>(read32(original + 4) + i * segment), "a segment's sequence number");
    uint8_t flags = original[kTcpFlagsAt];
    if (!last) flags &= static_cast<uint8_t>(~(kFin | kPsh));
    if (i > 0) flags &= static_cast<uint8_t>(~kCwr);
    expect(tcp[kTcpFlagsAt] == flags, "a segment's flags");
    expect(std::equal(tcp + 20, tcp + tcpHead, original + 20), "a segment's options");
    joined.insert(joined.end(), part.begin() + static_cast<long>(headLength), part.end());
  }
  expect(joined == Bytes(packet.begin() + static_cast<long>(headLength), packet.end()), "the payload");
  checkVerdict(cut[0], shape.ipHead + between(0, 7));
}

void checkDatagram() {
  const bool v6 = between(0, 1) == 1;
  const Shape shape{v6, v6 ? kIp6Head : kIp4Head, kUdp};
  const Bytes packet = makePacket(shape, kUdpHead, between(0, 9000));
  const auto written = write(packet, shape, shape.ipHead + kUdpHead, 0);
  expect(written.size() == 1, "a datagram is not cut");
  expect(read16(&written[0][shape.ipHead + 6]) != 0, "a datagram has a checksum");
  checkVerdict(written[0], shape.ipHead + between(0, 3));
}

/** What is malformed may be judged in any way, but is read only where it is. */
void checkNoise() {
  Bytes noise = randomBytes(between(0, 100));
  if (!noise.empty() && between(0, 3) > 0) noise[0] = static_cast<uint8_t>(between(0, 1) ? 0x60 : 0x40 | between(0, 15));
  if (noise.size() > 9) noise[between(0, 1) ? 6 : 9] = between(0, 1) ? kTcp : kUdp;
  if (noise.size() > 5) noise[2] = noise[4] = 0;
  verify(noise.data(), noise.size());

  Bytes head(kHeadroom);
  const Bytes body = randomBytes(between(20, 200));
  head.insert(head.end(), body.begin(), body.end());
  Bytes payload = randomBytes(between(0, 3000));
  Outgoing out;
  out.parts[0] = {head.data() + kHeadroom, body.size()};
  out.parts[1] = {payload.data(), payload.size()};
  out.count = 2;
  out.transportAt = between(0, body.size());
  out.checksumAt = out.transportAt + kTcpChecksumAt + 2 <= body.size() ? static_cast<int>(kTcpChecksumAt) : -1;
  out.segment = between(0, 100);
  Recorder recorder;
  recorder.write(out);
}

}  // namespace

int main() {
  for (int i = 0; i < 1500; i++) {
    checkCutting();
    checkDatagram();
    checkNoise();
  }
}
