#include "device.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace sockeye {
namespace {

/** Asks for a device of our name and the next free number. */
int attach(int descriptor, const std::string& name, int flags, ifreq& request) {
  request = {};
  std::snprintf(request.ifr_name, sizeof request.ifr_name, "%s%%d", name.c_str());
  request.ifr_flags = static_cast<short>(flags);
  return ioctl(descriptor, TUNSETIFF, &request) == 0 ? 0 : errno;
}

/** Sets what a new device has taken over from the machine's defaults. Where it fails, the next step that needs it says so. */
void setIpv6(const std::string& name, const char* key, const char* value) {
  const std::string path = "/proc/sys/net/ipv6/conf/" + name + "/" + key;
  const int file = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (file < 0) return;
  if (write(file, value, 1) != 1) errno = 0;
  close(file);
}

}  // namespace

int openDevice(const Open& wanted, Netlink& netlink, Device& device, const char*& step) {
  step = "opening /dev/net/tun, which the kernel's module tun provides (`modprobe tun`, or let the container have it)";
  const int descriptor = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return errno;
  device.descriptor = descriptor;

  step = "creating a TUN device";
  ifreq request;
  device.vnetHeader = wanted.vnetHeader;
  int error = attach(descriptor, wanted.name, IFF_TUN | IFF_NO_PI | (wanted.vnetHeader ? IFF_VNET_HDR : 0), request);
  if (error == EINVAL && wanted.vnetHeader) {
    device.vnetHeader = false;
    error = attach(descriptor, wanted.name, IFF_TUN | IFF_NO_PI, request);
  }
  if (error != 0) return error;
  device.name = request.ifr_name;
  device.index = if_nametoindex(request.ifr_name);
  // Router advertisements have no business here: nobody but the engine sends on this link. Without a link-local address the
  // kernel drops them anyway, so this is a second lock on the same door.
  setIpv6(device.name, "accept_ra", "0");
  // Where new devices have IPv6 switched off, ours would take no address, and what is captured would pass it by.
  setIpv6(device.name, "disable_ipv6", "0");

  step = "setting the TUN device up";
  error = netlink.setLink(device.index, wanted.mtu);
  for (const Network& address : wanted.addresses) {
    if (error != 0) return error;
    step = address.address.family == 4 ? "giving the TUN device its IPv4 address"
                                       : "giving the TUN device its IPv6 address";
    error = netlink.addAddress(device.index, address);
  }
  return error;
}

}  // namespace sockeye
