// The Internet checksum (RFC 1071): verified on packets that come, completed on packets that go where the system does neither.
#pragma once

#include "device.h"

namespace sockeye {

/**
 * A one's complement sum over bytes that lie in several places. It is kept in the machine's own byte order, in which it
 * comes out right as well (RFC 1071 §2.B).
 */
class Sum {
 public:
  void add(const uint8_t* bytes, size_t length);
  /** Adds a number of up to 32 bits as the wire has it, high word first. The bytes added so far must be even. */
  void addNumber(uint32_t value);
  /** The sum's 16 bits, as they lie in memory. */
  uint16_t folded() const;
  /** The checksum field's 16 bits, as they lie in memory. */
  uint16_t complement() const { return static_cast<uint16_t>(~folded()); }

 private:
  uint64_t sum_ = 0;
  bool odd_ = false;
};

/**
 * Checks the transport checksum of a packet: TCP and UDP, on IPv4 and on IPv6 without extension headers. `unknown` for all
 * else, for fragments, and for what is malformed, of which the reader of headers will find out.
 */
Checksum verify(const uint8_t* packet, size_t length);

/** Completes the checksum of a whole packet, of which its field holds the pseudo-header's sum. */
void completeChecksum(Outgoing& packet);

}  // namespace sockeye
