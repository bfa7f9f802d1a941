// A TUN device as the rest of this module sees it, whatever the system: packets are read one by one without waiting, and
// written one by one, each from several parts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#ifdef _WIN32
struct iovec {
  void* iov_base;
  size_t iov_len;
};
#else
#include <sys/uio.h>
#endif

namespace sockeye {

/** What is known of a packet's transport checksum; JavaScript has the same list. */
enum class Checksum : uint8_t { unknown = 0, good = 1, bad = 2 };

/** The largest packet that a system hands over: an IPv6 header, and all that its length field can say. */
constexpr size_t kMaxPacket = 40 + 65535;
/** A device may put a header of its own in front of a packet, in memory as on its descriptor. */
constexpr size_t kHeadroom = 16;
/** Pieces of a packet's payload, as many as JavaScript's MAX_PIECES. */
constexpr int kMaxPieces = 64;
/** Parts of a packet to write: its headers, payload that stands behind them, and the pieces. */
constexpr int kMaxParts = 2 + kMaxPieces;

/** Where a packet was put that has been read. */
struct Incoming {
  uint8_t* start = nullptr;
  size_t length = 0;
  Checksum checksum = Checksum::unknown;
};

/** A packet to write. */
struct Outgoing {
  /** The first holds all the headers, with kHeadroom bytes before it that may be written. */
  iovec parts[kMaxParts];
  int count = 0;
  /** Offset of the transport header from the packet's first byte. */
  size_t transportAt = 0;
  /** Offset of the checksum to complete from transportAt; -1 where there is none. */
  int checksumAt = -1;
  /** Payload bytes for each TCP segment, where the packet is to be cut; else 0. */
  size_t segment = 0;

  const uint8_t* head() const { return static_cast<const uint8_t*>(parts[0].iov_base); }
  size_t length() const {
    size_t sum = 0;
    for (int i = 0; i < count; i++) sum += parts[i].iov_len;
    return sum;
  }
};

enum class Outcome {
  /** Read, or written. */
  done,
  /** Nothing to read now. */
  empty,
  /** A packet that can't be read, or one that the system did not take: it is lost, the next may do. */
  lost,
  /** The device is gone, for the reason in error(). */
  gone,
};

/** Stands for the system's error number where a device has ended and the system has none for it. */
constexpr int kDeviceEnded = -3;

class Device {
 public:
  virtual ~Device() = default;

  virtual std::string name() const = 0;
  /** The system's own number for the largest packet; 0 where it can't be asked. */
  virtual unsigned mtu() const = 0;
  /** Whether the system completes checksums of packets that are written. */
  virtual bool completesChecksums() const = 0;
  /** Whether the system cuts TCP segments that are written, and is asked to join those that are read. */
  virtual bool segments() const = 0;

  /** Reads the next packet into `room`, which has at least kHeadroom + kMaxPacket bytes. Never waits. */
  virtual Outcome read(uint8_t* room, Incoming& packet) = 0;
  /** Writes a packet, as one or as several. Never waits. Changes the headroom, and `packet`. */
  virtual Outcome write(Outgoing& packet) = 0;
  /** Writes the parts of one whole packet as they are; the first has headroom. */
  virtual Outcome put(iovec* parts, int count) = 0;

  /** The system's error number (errno) behind `gone`, or kDeviceEnded. */
  int error() const { return error_; }

  /** What to wait for before the next read: a descriptor, or on Windows an event's handle. */
  virtual intptr_t waitable() const = 0;

 protected:
  Outcome gone(int error) {
    error_ = error;
    return Outcome::gone;
  }

 private:
  int error_ = 0;
};

/** What a caller wants of a device; all that the system can, unless a test says otherwise. */
struct Wishes {
  bool checksums = true;
  bool segments = true;
};

/**
 * Takes an open device over, and closes it when done.
 * @param problem why it can't be used, where nothing is returned; the descriptor then is still the caller's.
 */
std::unique_ptr<Device> attach(intptr_t descriptor, const Wishes& wishes, std::string& problem);

/**
 * Creates a device, or attaches to a persistent one, where this process may.
 * @param name as wished; empty for one that the system chooses.
 * @param header whether its packets carry the header that offload needs, where the system has one.
 * @param manyQueues each call for the same name gives a queue of its own, for a thread of its own; the kernel keeps a flow's
 *   packets to one. Linux alone has it; elsewhere it is a problem.
 * @returns its descriptor, or -1 with `problem` saying why.
 */
intptr_t create(const std::string& name, bool header, bool manyQueues, std::string& problem);

}  // namespace sockeye
