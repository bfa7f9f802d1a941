// The TUN device: made, addressed and set up here, then handed over.
#ifndef SOCKEYE_DEVICE_H
#define SOCKEYE_DEVICE_H

#include "frames.h"
#include "machine.h"
#include "netlink.h"

namespace sockeye {

/** @returns 0 or an errno, with `step` saying at what. */
int openDevice(const Open& wanted, Netlink& netlink, Device& device, const char*& step);

}  // namespace sockeye

#endif
