// The memory that JavaScript and this module share: datagrams that came, and those that are to be sent. Each direction is one
// ArrayBuffer, so that one call finds out where it lies, and whether it still does: JavaScript can take any ArrayBuffer away.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sockeye {

/** What came, handed to JavaScript by one call. */
struct Incoming {
  static constexpr size_t kDatagrams = 64;
  /** A datagram's room; not a power of two, as bytes that are whole pages apart share few lines of the processor's cache. */
  static constexpr size_t kRoom = 65'536 + 192;

  /** For each datagram: its socket, its bytes (or a negative error number of the socket's), and whether its source is a new one. */
  enum Field { socket, length, fresh, kFields };

  static constexpr size_t fieldsAt = 0;
  static constexpr size_t bytesAt = fieldsAt + kDatagrams * kFields * sizeof(int32_t);
  static constexpr size_t kBytes = kDatagrams * kRoom;
  static constexpr size_t size = bytesAt + kBytes;
};

/** What JavaScript has queued. */
struct Outgoing {
  static constexpr size_t kDatagrams = 256;
  static constexpr size_t kBytes = 256 * 1024;

  /** For each datagram: its socket, its place in the bytes, and the place of its target's address there, or -1. */
  enum Field { socket, at, length, targetAt, kFields };

  static constexpr size_t fieldsAt = 0;
  static constexpr size_t bytesAt = fieldsAt + kDatagrams * kFields * sizeof(int32_t);
  static constexpr size_t size = bytesAt + kBytes;
};

}  // namespace sockeye
