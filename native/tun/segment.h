// A large TCP packet cut into segments, as a network card with TSO does it: for devices whose system does not.
#pragma once

#include "device.h"

namespace sockeye {

/** The bytes of a TCP packet's IP and TCP headers; 0 where its first part does not hold them whole. */
size_t tcpHeadLength(const Outgoing& packet);

/**
 * Writes a packet through device.put(): its checksum completed, and cut into segments where it asks for it. Each segment has
 * the headers of the packet, its own length, sequence number, IPv4 identification (counted up) and checksums; FIN and PSH
 * are the last one's, CWR is the first one's (RFC 3168 §6.1.2).
 * @returns `lost` where any part of it was not taken.
 */
Outcome writeInSoftware(Device& device, Outgoing& packet);

}  // namespace sockeye
