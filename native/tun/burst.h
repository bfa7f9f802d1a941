// The memory that JavaScript and this module share: packets on their way in, and descriptions of those on their way out. Each
// direction is one ArrayBuffer, so that one call finds out where it lies, and whether it still does: JavaScript can take any
// ArrayBuffer away (detach it).
#pragma once

#include <cstddef>
#include <cstdint>

#include "device.h"

namespace sockeye {

/** A burst of packets that were read, handed to JavaScript by one call. */
struct IncomingLayout {
  static constexpr size_t kPackets = 256;
  /** No packet is begun behind these bytes; the last may be as large as a packet can be. */
  static constexpr size_t kFill = 256 * 1024;

  static constexpr size_t startsAt = 0;
  static constexpr size_t lengthsAt = startsAt + kPackets * sizeof(uint32_t);
  static constexpr size_t checksumsAt = lengthsAt + kPackets * sizeof(uint32_t);
  static constexpr size_t bytesAt = checksumsAt + kPackets;
  static constexpr size_t kBytes = kFill + kHeadroom + kMaxPacket + 1;
  static constexpr size_t size = bytesAt + kBytes;
};
static_assert(IncomingLayout::bytesAt % 64 == 0, "packets begin at the start of a cache line");

/** Packets to write, as JavaScript has queued them. */
struct OutgoingLayout {
  static constexpr size_t kPackets = 256;
  static constexpr size_t kPieces = 1024;
  static constexpr size_t kHeads = 128 * 1024;

  /** For each packet: where its headers stand in the heads, and what PacketWriter.end() was told. */
  enum Field { headAt, headLength, transportAt, checksumAt, segment, pieces, kFields };
  /** For each piece: the index of its bytes in the array that goes with the call, and its range there. */
  enum PieceField { view, from, to, kPieceFields };

  static constexpr size_t packetsAt = 0;
  static constexpr size_t piecesAt = packetsAt + kPackets * kFields * sizeof(int32_t);
  static constexpr size_t headsAt = piecesAt + kPieces * kPieceFields * sizeof(uint32_t);
  static constexpr size_t size = headsAt + kHeads;
};
static_assert(OutgoingLayout::headsAt % 64 == 0, "headers begin at the start of a cache line");

}  // namespace sockeye
