#include "routes.h"

#include <net/if.h>
#include <net/if_dl.h>
#include <net/route.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/sysctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace sockeye {
namespace {

/** Addresses in routing messages begin at multiples of four bytes; one of no length takes four. */
size_t padded(size_t length) { return length == 0 ? sizeof(uint32_t) : (length + 3) & ~size_t{3}; }

size_t addressAt(int family) {
  return family == AF_INET ? offsetof(sockaddr_in, sin_addr) : offsetof(sockaddr_in6, sin6_addr);
}

/** A sockaddr's bytes, which may be fewer than its type's: trailing zeros are left out of masks. */
class Part {
 public:
  explicit Part(const uint8_t* bytes = nullptr) : bytes_(bytes) {}

  explicit operator bool() const { return bytes_ != nullptr; }
  size_t length() const { return bytes_[0]; }
  int family() const { return length() > 1 ? bytes_[1] : 0; }

  Address address(int family) const {
    Address address;
    address.family = family == AF_INET ? 4 : 6;
    for (size_t i = 0; i < address.size(); i++)
      address.bytes[i] = addressAt(family) + i < length() ? bytes_[addressAt(family) + i] : uint8_t{0};
    // The kernel keeps the interface of a link-local address within it (RFC 4291 §2.5.6 has zeros there).
    if (family == AF_INET6 && address.bytes[0] == 0xfe && (address.bytes[1] & 0xc0) == 0x80)
      address.bytes[2] = address.bytes[3] = 0;
    return address;
  }

 private:
  const uint8_t* bytes_;
};

uint8_t prefixOf(const Address& mask) {
  uint8_t bits = 0;
  for (size_t i = 0; i < mask.size() * 8 && (mask.bytes[i / 8] >> (7 - i % 8) & 1) != 0; i++) bits++;
  return bits;
}

/** Reads one message of the table. @returns false for what is no route of interest. */
bool readRoute(const rt_msghdr& head, const uint8_t* at, const uint8_t* end, Route& route) {
  constexpr int kPassedOver = RTF_LLINFO | RTF_WASCLONED | RTF_IFSCOPE | RTF_MULTICAST | RTF_BROADCAST;
  if ((head.rtm_flags & RTF_UP) == 0 || (head.rtm_flags & kPassedOver) != 0) return false;
  Part parts[RTAX_MAX];
  for (int i = 0; i < RTAX_MAX; i++) {
    if ((head.rtm_addrs & (1 << i)) == 0) continue;
    if (at >= end || at + at[0] > end) return false;
    parts[i] = Part(at);
    at += padded(at[0]);
  }
  const Part& network = parts[RTAX_DST];
  if (!network || (network.family() != AF_INET && network.family() != AF_INET6)) return false;
  const int family = network.family();
  route.network.address = network.address(family);
  const size_t bits = route.network.address.size() * 8;
  const bool isHost = (head.rtm_flags & RTF_HOST) != 0 || !parts[RTAX_NETMASK];
  route.network.prefix = isHost ? static_cast<uint8_t>(bits) : prefixOf(parts[RTAX_NETMASK].address(family));
  route.interface = head.rtm_index;
  const Part& gateway = parts[RTAX_GATEWAY];
  route.hasGateway = (head.rtm_flags & RTF_GATEWAY) != 0 && gateway && gateway.family() == family;
  if (route.hasGateway) route.gateway = gateway.address(family);
  return true;
}

class Message {
 public:
  Message(uint8_t type, const Route& route) {
    static uint32_t sequence = 0;
    head_.rtm_version = RTM_VERSION;
    head_.rtm_type = type;
    head_.rtm_seq = static_cast<int>(++sequence);
    head_.rtm_pid = getpid();
    head_.rtm_index = static_cast<u_short>(route.interface);
    head_.rtm_flags = RTF_UP | RTF_STATIC | (route.hasGateway ? RTF_GATEWAY : 0);
    head_.rtm_addrs = RTA_DST | RTA_GATEWAY | RTA_NETMASK;
    size_ = sizeof head_;
    add(route.network.address, 0);
    if (route.hasGateway) {
      add(route.gateway, route.interface);
    } else {
      addInterface(route.interface);
    }
    Address mask;
    mask.family = route.network.address.family;
    for (uint8_t bit = 0; bit < route.network.prefix; bit++)
      mask.bytes[bit / 8] = static_cast<uint8_t>(mask.bytes[bit / 8] | 0x80 >> bit % 8);
    add(mask, 0);
    head_.rtm_msglen = static_cast<u_short>(size_);
    std::memcpy(bytes_, &head_, sizeof head_);
  }

  int send() const {
    const int routing = socket(PF_ROUTE, SOCK_RAW, 0);
    if (routing < 0) return errno;
    // Nothing is to be read back here: write() itself says what went wrong.
    const int off = 0;
    setsockopt(routing, SOL_SOCKET, SO_USELOOPBACK, &off, sizeof off);
    const int error = write(routing, bytes_, size_) == static_cast<ssize_t>(size_) ? 0 : errno;
    close(routing);
    return error;
  }

 private:
  void append(const void* bytes, size_t size) {
    std::memcpy(bytes_ + size_, bytes, size);
    size_ += padded(size);
  }

  /** @param interface whose link-local address it may be. */
  void add(const Address& address, uint32_t interface) {
    if (address.family == 4) {
      sockaddr_in name{};
      name.sin_len = sizeof name;
      name.sin_family = AF_INET;
      std::memcpy(&name.sin_addr, address.bytes, 4);
      append(&name, sizeof name);
      return;
    }
    sockaddr_in6 name{};
    name.sin6_len = sizeof name;
    name.sin6_family = AF_INET6;
    std::memcpy(&name.sin6_addr, address.bytes, 16);
    if (interface != 0 && IN6_IS_ADDR_LINKLOCAL(&name.sin6_addr)) {
      name.sin6_addr.s6_addr[2] = static_cast<uint8_t>(interface >> 8);
      name.sin6_addr.s6_addr[3] = static_cast<uint8_t>(interface);
    }
    append(&name, sizeof name);
  }

  void addInterface(uint32_t interface) {
    sockaddr_dl name{};
    name.sdl_len = sizeof name;
    name.sdl_family = AF_LINK;
    name.sdl_index = static_cast<u_short>(interface);
    append(&name, sizeof name);
  }

  rt_msghdr head_{};
  alignas(rt_msghdr) uint8_t bytes_[sizeof(rt_msghdr) + 3 * sizeof(sockaddr_storage)] = {};
  size_t size_ = 0;
};

}  // namespace

int readTable(std::vector<Route>& routes) {
  routes.clear();
  int path[] = {CTL_NET, PF_ROUTE, 0, 0, NET_RT_DUMP, 0};
  std::vector<uint8_t> table;
  // It may grow between the two calls.
  for (int attempt = 0;; attempt++) {
    size_t size = 0;
    if (sysctl(path, 6, nullptr, &size, nullptr, 0) != 0) return errno;
    table.resize(size + size / 4 + 4096);
    size = table.size();
    if (sysctl(path, 6, table.data(), &size, nullptr, 0) == 0) {
      table.resize(size);
      break;
    }
    if (errno != ENOMEM || attempt == 5) return errno;
  }
  for (size_t at = 0; at + sizeof(rt_msghdr) <= table.size();) {
    rt_msghdr head;
    std::memcpy(&head, table.data() + at, sizeof head);
    if (head.rtm_msglen < sizeof head || at + head.rtm_msglen > table.size()) return EBADMSG;
    const uint8_t* end = table.data() + at + head.rtm_msglen;
    Route route;
    if (head.rtm_version == RTM_VERSION && readRoute(head, table.data() + at + sizeof head, end, route))
      routes.push_back(route);
    at += head.rtm_msglen;
  }
  return 0;
}

int addRoute(const Route& route) { return Message(RTM_ADD, route).send(); }

int removeRoute(const Route& route) { return Message(RTM_DELETE, route).send(); }

}  // namespace sockeye
