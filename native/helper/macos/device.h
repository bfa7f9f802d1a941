// The utun device: made, addressed and set up here, then handed over. Written against Apple's headers; not yet compiled or run.
#ifndef SOCKEYE_DEVICE_H
#define SOCKEYE_DEVICE_H

#include "machine.h"

namespace sockeye {

/** @returns 0 or an errno, with `step` saying at what. The descriptor is the caller's to close, either way. */
int openDevice(const Open& wanted, Device& device, const char*& step);

}  // namespace sockeye

#endif
