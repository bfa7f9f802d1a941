// Numbers as they stand in headers: RFC 791, 8200, 9293, 768.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace sockeye {

constexpr size_t kIp4Head = 20;
constexpr size_t kIp6Head = 40;
constexpr size_t kTcpHead = 20;
constexpr size_t kUdpHead = 8;
constexpr uint8_t kTcp = 6;
constexpr uint8_t kUdp = 17;

constexpr size_t kTcpChecksumAt = 16;
constexpr size_t kTcpFlagsAt = 13;
constexpr uint8_t kFin = 0x01;
constexpr uint8_t kPsh = 0x08;
constexpr uint8_t kCwr = 0x80;

inline uint16_t read16(const uint8_t* p) { return static_cast<uint16_t>((p[0] << 8) | p[1]); }

inline uint32_t read32(const uint8_t* p) {
  return (uint32_t{p[0]} << 24) | (uint32_t{p[1]} << 16) | (uint32_t{p[2]} << 8) | uint32_t{p[3]};
}

inline void write16(uint8_t* p, uint32_t value) {
  p[0] = static_cast<uint8_t>(value >> 8);
  p[1] = static_cast<uint8_t>(value);
}

inline void write32(uint8_t* p, uint32_t value) {
  write16(p, value >> 16);
  write16(p + 2, value);
}

}  // namespace sockeye
