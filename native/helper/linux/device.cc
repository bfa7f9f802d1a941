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

/** Router advertisements have no business here: nobody but the engine sends on this link. */
void ignoreRouters(const std::string& name) {
  const std::string path = "/proc/sys/net/ipv6/conf/" + name + "/accept_ra";
  const int file = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (file < 0) return;
  // Without a link-local address the kernel drops them anyway: this is a second lock on the same door.
  if (write(file, "0", 1) != 1) errno = 0;
  close(file);
}

}  // namespace

int openDevice(const Open& wanted, Netlink& netlink, Device& device, const char*& step) {
  step = "opening /dev/net/tun";
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
  ignoreRouters(device.name);

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
