// A TUN device of Linux (Documentation/networking/tuntap.rst): each read and each write is one packet, behind a header where
// the device has IFF_VNET_HDR.
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "checksum.h"
#include "segment.h"
#include "vnet.h"

namespace sockeye {

namespace {

std::string describe(const char* what, int error) { return std::string(what) + ": " + std::strerror(error); }

/** Errors after which no packet will ever pass: deleted (EBADFD, on waiting EFAULT), gone with its namespace, or down (EIO). */
bool isEnd(int error) {
  return error == EBADFD || error == EBADF || error == EIO || error == ENODEV || error == ENXIO;
}

class LinuxTun final : public Device {
 public:
  LinuxTun(int descriptor, std::string name, size_t headerBytes)
      : descriptor_(descriptor), name_(name), headerBytes_(headerBytes) {}
  ~LinuxTun() override { ::close(descriptor_); }

  void offer(const Wishes& wishes);

  std::string name() const override { return name_; }
  bool completesChecksums() const override { return checksums_; }
  bool segments() const override { return segments_; }
  intptr_t waitable() const override { return descriptor_; }

  unsigned mtu() const override {
    const int any = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (any < 0) return 0;
    ifreq request{};
    name_.copy(request.ifr_name, IFNAMSIZ - 1);
    const bool known = ::ioctl(any, SIOCGIFMTU, &request) == 0;
    ::close(any);
    return known ? static_cast<unsigned>(request.ifr_mtu) : 0;
  }

  Outcome read(uint8_t* room, Incoming& packet) override {
    uint8_t* from = room + kHeadroom - headerBytes_;
    ssize_t bytes;
    do {
      bytes = ::read(descriptor_, from, headerBytes_ + kMaxPacket);
    } while (bytes < 0 && errno == EINTR);
    if (bytes < 0) return failedToRead(errno);
    if (static_cast<size_t>(bytes) <= headerBytes_) return Outcome::lost;

    packet.start = room + kHeadroom;
    packet.length = static_cast<size_t>(bytes) - headerBytes_;
    packet.checksum = Checksum::unknown;
    if (headerBytes_ > 0) {
      VnetHeader header;
      std::memcpy(&header, from, sizeof header);
      packet.checksum = checksumBy(header);
    }
    if (packet.checksum == Checksum::unknown) packet.checksum = verify(packet.start, packet.length);
    return Outcome::done;
  }

  Outcome write(Outgoing& packet) override {
    if (headerBytes_ == 0) return writeInSoftware(*this, packet);
    if (packet.segment > 0 && !segments_) return writeInSoftware(*this, packet);
    const Outcome outcome = send(packet.parts, packet.count, headerFor(packet));
    // A kernel that does not cut this packet says so; what it loses for other reasons stays lost.
    if (outcome == Outcome::lost && packet.segment > 0 && refused_ == EINVAL) {
      return writeInSoftware(*this, packet);
    }
    return outcome;
  }

  Outcome put(iovec* parts, int count) override { return send(parts, count, VnetHeader{}); }

 private:
  Outcome send(iovec* parts, int count, const VnetHeader& header) {
    const iovec first = parts[0];
    if (headerBytes_ > 0) {
      uint8_t* at = static_cast<uint8_t*>(first.iov_base) - headerBytes_;
      std::memset(at, 0, headerBytes_);
      std::memcpy(at, &header, sizeof header);
      parts[0] = {at, headerBytes_ + first.iov_len};
    }
    ssize_t written;
    do {
      written = count == 1 ? ::write(descriptor_, parts[0].iov_base, parts[0].iov_len)
                           : ::writev(descriptor_, parts, count);
    } while (written < 0 && errno == EINTR);
    parts[0] = first;
    if (written >= 0) return Outcome::done;
    refused_ = errno;
    return isEnd(refused_) ? ended(refused_) : Outcome::lost;
  }

  Outcome failedToRead(int error) {
    if (error == EAGAIN || error == EWOULDBLOCK) return Outcome::empty;
    // A packet of a kind that the header has no words for; it is off the queue.
    if (error == EINVAL) return Outcome::lost;
    if (error == ENOMEM || error == ENOBUFS) return Outcome::empty;
    return ended(error);
  }

  /** A deleted device has several errors, depending on what one was about to do. */
  Outcome ended(int error) { return gone(error == EBADFD || error == EFAULT ? ENODEV : error); }

  const int descriptor_;
  const std::string name_;
  /** 0 for a device without the header. */
  const size_t headerBytes_;
  bool checksums_ = false;
  bool segments_ = false;
  int refused_ = 0;
};

/** How long the header is, made as short as it can be; 0 for a device without. */
size_t settleHeader(int descriptor, bool header) {
  if (!header) return 0;
  int bytes = sizeof(VnetHeader);
  if (::ioctl(descriptor, TUNSETVNETHDRSZ, &bytes) != 0 && ::ioctl(descriptor, TUNGETVNETHDRSZ, &bytes) != 0) {
    return sizeof(VnetHeader);
  }
  return static_cast<size_t>(bytes);
}

/** Tells the kernel what packets we take; an old one refuses (EINVAL) what it does not know. */
void LinuxTun::offer(const Wishes& wishes) {
  if (headerBytes_ == 0) return;
  const auto accepts = [this](unsigned long offload) { return ::ioctl(descriptor_, TUNSETOFFLOAD, offload) == 0; };
  const bool both = wishes.checksums && wishes.segments && accepts(TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6);
  if (!both && !(wishes.checksums && accepts(TUN_F_CSUM))) accepts(0);
  // What it takes from us it took from the first version with this header on, whatever it was told that we take.
  checksums_ = true;
  segments_ = wishes.segments;
}

}  // namespace

std::unique_ptr<Device> attach(intptr_t descriptor, const Wishes& wishes, std::string& problem) {
  const int fd = static_cast<int>(descriptor);
  ifreq request{};
  if (::ioctl(fd, TUNGETIFF, &request) != 0) {
    problem = describe("the descriptor is no open TUN device", errno);
    return nullptr;
  }
  if ((request.ifr_flags & IFF_TUN) == 0 || (request.ifr_flags & IFF_NO_PI) == 0) {
    problem = "the device must be a TUN device without packet information (IFF_TUN, IFF_NO_PI)";
    return nullptr;
  }
  const size_t headerBytes = settleHeader(fd, (request.ifr_flags & IFF_VNET_HDR) != 0);
  if (headerBytes > kHeadroom) {
    problem = "the device's packets have a header of " + std::to_string(headerBytes) + " bytes, which is not understood";
    return nullptr;
  }
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || ::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
    problem = describe("the descriptor can't be made non-blocking", errno);
    return nullptr;
  }
  auto tun = std::make_unique<LinuxTun>(fd, request.ifr_name, headerBytes);
  tun->offer(wishes);
  return tun;
}

intptr_t create(const std::string& name, bool header, bool manyQueues, std::string& problem) {
  ifreq request{};
  if (name.size() >= IFNAMSIZ) {
    problem = "a device's name has at most 15 characters";
    return -1;
  }
  const int fd = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) {
    problem = describe("/dev/net/tun", errno);
    return -1;
  }
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_flags = static_cast<short>(IFF_TUN | IFF_NO_PI | (header ? IFF_VNET_HDR : 0) |
                                         (manyQueues ? IFF_MULTI_QUEUE : 0));
  if (::ioctl(fd, TUNSETIFF, &request) != 0) {
    problem = describe("the TUN device can't be created", errno);
    ::close(fd);
    return -1;
  }
  return fd;
}

}  // namespace sockeye
