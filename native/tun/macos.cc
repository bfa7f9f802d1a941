// A utun device of macOS: a socket of the kernel's control family, on which each packet stands behind four bytes that name
// its address family. There is no offload: checksums are completed here, and a large MTU does what segmentation does
// elsewhere. Written against Apple's headers; not yet compiled or run.
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/if_utun.h>
#include <sys/ioctl.h>
#include <sys/kern_control.h>
#include <sys/socket.h>
#include <sys/sys_domain.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "checksum.h"
#include "segment.h"

namespace sockeye {

namespace {

std::string describe(const char* what, int error) { return std::string(what) + ": " + std::strerror(error); }

/** The family's number, in network order, before each packet (utun's protocol). */
using FamilyHeader = uint32_t;
static_assert(sizeof(FamilyHeader) <= kHeadroom, "it fits before the packet");

class Utun final : public Device {
 public:
  Utun(int descriptor, std::string name) : descriptor_(descriptor), name_(std::move(name)) {}
  ~Utun() override { ::close(descriptor_); }

  std::string name() const override { return name_; }
  bool completesChecksums() const override { return false; }
  bool segments() const override { return false; }
  intptr_t waitable() const override { return descriptor_; }

  unsigned mtu() const override {
    const int any = ::socket(AF_INET, SOCK_DGRAM, 0);
    if (any < 0) return 0;
    ifreq request{};
    name_.copy(request.ifr_name, IFNAMSIZ - 1);
    const bool known = ::ioctl(any, SIOCGIFMTU, &request) == 0;
    ::close(any);
    return known ? static_cast<unsigned>(request.ifr_mtu) : 0;
  }

  // One call for each packet: recvmsg_x and sendmsg_x, which take several, are private to Apple and have changed before.
  Outcome read(uint8_t* room, Incoming& packet) override {
    uint8_t* from = room + kHeadroom - sizeof(FamilyHeader);
    ssize_t bytes;
    do {
      bytes = ::read(descriptor_, from, sizeof(FamilyHeader) + kMaxPacket);
    } while (bytes < 0 && errno == EINTR);
    if (bytes < 0) {
      if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) return Outcome::empty;
      return gone(errno);
    }
    // The kernel's side of the control socket was closed.
    if (bytes == 0) return gone(ENXIO);
    if (static_cast<size_t>(bytes) <= sizeof(FamilyHeader)) return Outcome::lost;
    packet.start = room + kHeadroom;
    packet.length = static_cast<size_t>(bytes) - sizeof(FamilyHeader);
    packet.checksum = verify(packet.start, packet.length);
    return Outcome::done;
  }

  Outcome write(Outgoing& packet) override { return writeInSoftware(*this, packet); }

  Outcome put(iovec* parts, int count) override {
    const iovec first = parts[0];
    auto* packet = static_cast<uint8_t*>(first.iov_base);
    const FamilyHeader family = htonl(packet[0] >> 4 == 4 ? AF_INET : AF_INET6);
    std::memcpy(packet - sizeof family, &family, sizeof family);
    parts[0] = {packet - sizeof family, sizeof family + first.iov_len};
    ssize_t written;
    do {
      written = ::writev(descriptor_, parts, count);
    } while (written < 0 && errno == EINTR);
    parts[0] = first;
    if (written >= 0) return Outcome::done;
    const bool isEnd = errno == EBADF || errno == ENXIO || errno == ENODEV || errno == EPIPE || errno == ENOTCONN;
    return isEnd ? gone(errno) : Outcome::lost;
  }

 private:
  const int descriptor_;
  const std::string name_;
};

}  // namespace

std::unique_ptr<Device> attach(intptr_t descriptor, const Wishes&, std::string& problem) {
  const int fd = static_cast<int>(descriptor);
  char name[IFNAMSIZ] = {};
  socklen_t length = sizeof name;
  if (::getsockopt(fd, SYSPROTO_CONTROL, UTUN_OPT_IFNAME, name, &length) != 0) {
    problem = describe("the descriptor is no open TUN device", errno);
    return nullptr;
  }
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || ::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
    problem = describe("the descriptor can't be made non-blocking", errno);
    return nullptr;
  }
  name[sizeof name - 1] = '\0';
  return std::make_unique<Utun>(fd, name);
}

/** @param name utun and a number, or empty for the next free one: macOS knows no other names. */
intptr_t create(const std::string& name, bool, bool manyQueues, std::string& problem) {
  if (manyQueues) {
    problem = "a device has one queue here";
    return -1;
  }
  unsigned unit = 0;
  if (!name.empty()) {
    char* end = nullptr;
    const unsigned long number = name.rfind("utun", 0) == 0 ? std::strtoul(name.c_str() + 4, &end, 10) : 0;
    if (end == nullptr || end == name.c_str() + 4 || *end != '\0' || number > 10000) {
      problem = "a device's name on macOS is utun and a number";
      return -1;
    }
    // The control's units count from one, and zero leaves the choice to the system.
    unit = static_cast<unsigned>(number) + 1;
  }
  const int fd = ::socket(PF_SYSTEM, SOCK_DGRAM, SYSPROTO_CONTROL);
  if (fd < 0) {
    problem = describe("a control socket can't be opened", errno);
    return -1;
  }
  ctl_info info{};
  std::strncpy(info.ctl_name, UTUN_CONTROL_NAME, sizeof info.ctl_name - 1);
  sockaddr_ctl address{};
  address.sc_len = sizeof address;
  address.sc_family = AF_SYSTEM;
  address.ss_sysaddr = AF_SYS_CONTROL;
  address.sc_unit = unit;
  bool opened = ::ioctl(fd, CTLIOCGINFO, &info) == 0;
  address.sc_id = info.ctl_id;
  opened = opened && ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  if (!opened) {
    problem = describe("the TUN device can't be created", errno);
    ::close(fd);
    return -1;
  }
  return fd;
}

}  // namespace sockeye
