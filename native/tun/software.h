// Checksums for packets that neither a system nor a Device of ours carries, but JavaScript: one call for many packets.
#pragma once

#include <napi.h>

namespace sockeye {

/** verifyAll(bytes, starts, lengths, checksums, count): fills `checksums` in for packets that came. */
Napi::Value verifyAll(const Napi::CallbackInfo& info);

/**
 * completeAll(bytes, packets, count): completes checksums of which the field holds the pseudo-header's sum. For each packet
 * `packets` has four numbers: its offset, its length, the transport header's offset in it, the checksum's offset from there or -1.
 */
Napi::Value completeAll(const Napi::CallbackInfo& info);

}  // namespace sockeye
