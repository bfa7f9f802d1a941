// The TUN device: made, addressed and set up here, then handed over.
#ifndef SOCKEYE_DEVICE_H
#define SOCKEYE_DEVICE_H

#include <string>

#include "frames.h"
#include "netlink.h"

namespace sockeye {

struct Device {
  /** It is the caller's to close. The device lives as long as somebody has it open. */
  int descriptor = -1;
  std::string name;
  uint32_t index = 0;
  bool vnetHeader = false;
};

/** @returns 0 or an errno, with `step` saying at what. */
int openDevice(const Open& wanted, Netlink& netlink, Device& device, const char*& step);

}  // namespace sockeye

#endif
