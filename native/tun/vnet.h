// The header that Linux puts before each packet of a TUN device with IFF_VNET_HDR (virtio 1.2 §5.1.6): what of the packet is
// still to be done. The kernel hands over TCP segments joined to one packet, with a checksum that nobody has computed, and
// takes the same.
#pragma once

#include "device.h"

namespace sockeye {

/** In the machine's byte order, which is a TUN device's default. */
struct VnetHeader {
  uint8_t flags;
  uint8_t gsoType;
  uint16_t headLength;
  uint16_t gsoSize;
  uint16_t checksumStart;
  uint16_t checksumOffset;
};
static_assert(sizeof(VnetHeader) == 10, "the kernel's struct virtio_net_hdr has 10 bytes");

/** What a header says of the packet's checksum; `unknown` where it has to be computed. */
Checksum checksumBy(const VnetHeader& header);

/** The header for a packet to write: made afresh, so that nothing of another packet's is left in it. */
VnetHeader headerFor(const Outgoing& packet);

}  // namespace sockeye
