#include "device.h"

#include <fcntl.h>
#include <net/if.h>
#include <net/if_utun.h>
#include <netinet/in.h>
#include <netinet/in_var.h>
#include <netinet6/in6_var.h>
#include <sys/ioctl.h>
#include <sys/kern_control.h>
#include <sys/socket.h>
#include <sys/sys_domain.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sockeye {
namespace {

int connectToUtun(int descriptor) {
  ctl_info info{};
  std::strncpy(info.ctl_name, UTUN_CONTROL_NAME, sizeof info.ctl_name - 1);
  if (ioctl(descriptor, CTLIOCGINFO, &info) != 0) return errno;
  sockaddr_ctl address{};
  address.sc_len = sizeof address;
  address.sc_family = AF_SYSTEM;
  address.ss_sysaddr = AF_SYS_CONTROL;
  address.sc_id = info.ctl_id;
  // Units count from one; zero leaves the choice to the system.
  address.sc_unit = 0;
  return connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
}

void setMask(uint8_t* mask, uint8_t bits) {
  for (uint8_t bit = 0; bit < bits; bit++) mask[bit / 8] = static_cast<uint8_t>(mask[bit / 8] | 0x80 >> bit % 8);
}

int addAddress4(int socket4, const std::string& name, const Network& address) {
  in_aliasreq request{};
  std::strncpy(request.ifra_name, name.c_str(), sizeof request.ifra_name - 1);
  for (sockaddr_in* each : {&request.ifra_addr, &request.ifra_broadaddr, &request.ifra_mask}) {
    each->sin_len = sizeof *each;
    each->sin_family = AF_INET;
  }
  std::memcpy(&request.ifra_addr.sin_addr, address.address.bytes, 4);
  // A point-to-point link needs a far end; ours is the device itself.
  std::memcpy(&request.ifra_broadaddr.sin_addr, address.address.bytes, 4);
  setMask(reinterpret_cast<uint8_t*>(&request.ifra_mask.sin_addr), address.prefix);
  return ioctl(socket4, SIOCAIFADDR, &request) == 0 ? 0 : errno;
}

int addAddress6(int socket6, const std::string& name, const Network& address) {
  in6_aliasreq request{};
  std::strncpy(request.ifra_name, name.c_str(), sizeof request.ifra_name - 1);
  for (sockaddr_in6* each : {&request.ifra_addr, &request.ifra_prefixmask}) {
    each->sin6_len = sizeof *each;
    each->sin6_family = AF_INET6;
  }
  std::memcpy(&request.ifra_addr.sin6_addr, address.address.bytes, 16);
  setMask(reinterpret_cast<uint8_t*>(&request.ifra_prefixmask.sin6_addr), address.prefix);
  // For ever (RFC 4861 §4.6.2).
  request.ifra_lifetime.ia6t_vltime = 0xffffffff;
  request.ifra_lifetime.ia6t_pltime = 0xffffffff;
  request.ifra_flags = IN6_IFF_NODAD;
  return ioctl(socket6, SIOCAIFADDR_IN6, &request) == 0 ? 0 : errno;
}

/** @param socket4 any IPv4 socket: interfaces are set through one. */
int setUp(int socket4, const std::string& name, uint16_t mtu) {
  ifreq request{};
  std::strncpy(request.ifr_name, name.c_str(), sizeof request.ifr_name - 1);
  request.ifr_mtu = mtu;
  if (ioctl(socket4, SIOCSIFMTU, &request) != 0) return errno;
  request = {};
  std::strncpy(request.ifr_name, name.c_str(), sizeof request.ifr_name - 1);
  if (ioctl(socket4, SIOCGIFFLAGS, &request) != 0) return errno;
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  return ioctl(socket4, SIOCSIFFLAGS, &request) == 0 ? 0 : errno;
}

int addAddress(const std::string& name, const Network& address) {
  const bool isIp4 = address.address.family == 4;
  const int control = socket(isIp4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0);
  if (control < 0) return errno;
  const int error = isIp4 ? addAddress4(control, name, address) : addAddress6(control, name, address);
  close(control);
  return error;
}

}  // namespace

int openDevice(const Open& wanted, Device& device, const char*& step) {
  step = "creating a TUN device";
  device.descriptor = socket(PF_SYSTEM, SOCK_DGRAM, SYSPROTO_CONTROL);
  if (device.descriptor < 0) return errno;
  fcntl(device.descriptor, F_SETFD, FD_CLOEXEC);
  if (const int error = connectToUtun(device.descriptor)) return error;
  char name[IFNAMSIZ] = "";
  socklen_t length = sizeof name;
  if (getsockopt(device.descriptor, SYSPROTO_CONTROL, UTUN_OPT_IFNAME, name, &length) != 0) return errno;
  name[sizeof name - 1] = 0;
  device.name = name;
  device.index = if_nametoindex(name);

  step = "setting the TUN device up";
  const int control = socket(AF_INET, SOCK_DGRAM, 0);
  if (control < 0) return errno;
  int error = setUp(control, device.name, wanted.mtu);
  close(control);
  for (const Network& address : wanted.addresses) {
    if (error != 0) return error;
    step = address.address.family == 4 ? "giving the TUN device its IPv4 address"
                                       : "giving the TUN device its IPv6 address";
    error = addAddress(device.name, address);
  }
  return error;
}

}  // namespace sockeye
