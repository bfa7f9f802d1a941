#include "netlink.h"

#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sockeye {

namespace {

constexpr uint32_t kQueuePackets = 1000;
constexpr int kDumpAttempts = 5;

int systemFamily(uint8_t family) { return family == 4 ? AF_INET : AF_INET6; }

}  // namespace

/** A request to the kernel. All of ours are small; one that outgrew the buffer would be a defect, and is refused. */
class Message {
 public:
  Message(uint16_t type, uint16_t flags) {
    header_.nlmsg_type = type;
    header_.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
  }

  template <typename Body>
  void body(const Body& value) {
    append(&value, sizeof value);
  }

  void attribute(int type, const void* value, size_t size) {
    rtattr head{};
    head.rta_len = static_cast<uint16_t>(RTA_LENGTH(size));
    head.rta_type = static_cast<uint16_t>(type);
    append(&head, sizeof head);
    append(value, size);
  }

  void u32(int type, uint32_t value) { attribute(type, &value, sizeof value); }
  void u8(int type, uint8_t value) { attribute(type, &value, sizeof value); }
  void address(int type, const Address& value) { attribute(type, value.bytes, value.size()); }

  /** Attributes up to close() are inside the one that it opens. */
  size_t open(int type) {
    const size_t at = size_;
    attribute(type, nullptr, 0);
    return at;
  }

  void close(size_t at) {
    const uint16_t length = static_cast<uint16_t>(size_ - at);
    std::memcpy(bytes_ + at, &length, sizeof length);
  }

  const void* finish(uint32_t sequence, size_t& size) {
    header_.nlmsg_seq = sequence;
    header_.nlmsg_len = static_cast<uint32_t>(size_);
    std::memcpy(bytes_, &header_, sizeof header_);
    size = size_;
    return fits_ ? bytes_ : nullptr;
  }

 private:
  void append(const void* value, size_t size) {
    const size_t padded = NLMSG_ALIGN(size);
    if (size_ + padded > sizeof bytes_) {
      fits_ = false;
      return;
    }
    if (size > 0) std::memcpy(bytes_ + size_, value, size);
    size_ += padded;
  }

  nlmsghdr header_{};
  alignas(8) uint8_t bytes_[512] = {};
  size_t size_ = NLMSG_HDRLEN;
  bool fits_ = true;
};

namespace {

/** Calls `each` with the type and value of every attribute. */
template <typename Each>
void forAttributes(const nlmsghdr* message, size_t bodySize, Each each) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(message);
  size_t at = NLMSG_HDRLEN + NLMSG_ALIGN(bodySize);
  while (at + sizeof(rtattr) <= message->nlmsg_len) {
    rtattr head;
    std::memcpy(&head, bytes + at, sizeof head);
    if (head.rta_len < sizeof head || at + head.rta_len > message->nlmsg_len) return;
    each(head.rta_type & NLA_TYPE_MASK, bytes + at + sizeof head, head.rta_len - sizeof head);
    at += NLMSG_ALIGN(head.rta_len);
  }
}

uint32_t numberOf(const uint8_t* value, size_t size) {
  uint32_t number = 0;
  if (size == sizeof number) std::memcpy(&number, value, size);
  return number;
}

void copyAddress(Address& address, const uint8_t* value, size_t size) {
  if (size == address.size()) std::memcpy(address.bytes, value, size);
}

Message routeMessage(uint16_t type, uint16_t flags, const Route& route) {
  Message message(type, flags);
  rtmsg body{};
  body.rtm_family = static_cast<uint8_t>(systemFamily(route.network.address.family));
  body.rtm_dst_len = route.network.prefix;
  body.rtm_protocol = kOrigin;
  body.rtm_type = route.type;
  body.rtm_scope = route.type == RTN_UNICAST && body.rtm_family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  message.body(body);
  message.u32(RTA_TABLE, kTable);
  message.u32(RTA_PRIORITY, route.metric);
  if (route.network.prefix > 0) message.address(RTA_DST, route.network.address);
  if (route.device != 0) message.u32(RTA_OIF, route.device);
  return message;
}

Message ruleMessage(uint16_t type, uint16_t flags, const Rule& rule) {
  Message message(type, flags);
  fib_rule_hdr body{};
  body.family = static_cast<uint8_t>(systemFamily(rule.family));
  body.action = rule.action;
  body.src_len = rule.source.prefix;
  body.flags = rule.flags;
  message.body(body);
  message.u32(FRA_PRIORITY, rule.priority);
  message.u8(FRA_PROTOCOL, kOrigin);
  if (rule.action == FR_ACT_TO_TBL) message.u32(FRA_TABLE, kTable);
  if (rule.action == FR_ACT_GOTO) message.u32(FRA_GOTO, rule.target);
  if (rule.mark != 0) message.u32(FRA_FWMARK, rule.mark);
  if (rule.source.prefix > 0) message.address(FRA_SRC, rule.source.address);
  return message;
}

}  // namespace

Netlink::Netlink() : socket_(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)) {
  const int on = 1;
  // Dumps of one table only. A kernel before 4.20 sends all of them, which is only slower.
  setsockopt(socket_, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
  const timeval deadline{5, 0};
  setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
}

Netlink::~Netlink() {
  if (socket_ >= 0) close(socket_);
}

int Netlink::transact(const Message& message) {
  return dump(message, [](const nlmsghdr*) {});
}

/** Sends a request, and hands over what comes until the kernel says that it was the last. */
int Netlink::dump(Message message, const std::function<void(const nlmsghdr*)>& each) {
  size_t size = 0;
  const uint32_t sequence = ++sequence_;
  const void* bytes = message.finish(sequence, size);
  if (bytes == nullptr) return EMSGSIZE;
  if (send(socket_, bytes, size, 0) < 0) return errno;
  bool interrupted = false;
  alignas(nlmsghdr) static uint8_t buffer[64 * 1024];
  for (;;) {
    const ssize_t got = recv(socket_, buffer, sizeof buffer, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    auto left = static_cast<uint32_t>(got);
    for (auto* part = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(part, left); part = NLMSG_NEXT(part, left)) {
      if (part->nlmsg_seq != sequence) continue;
      if ((part->nlmsg_flags & NLM_F_DUMP_INTR) != 0) interrupted = true;
      if (part->nlmsg_type == NLMSG_DONE) return interrupted ? EINTR : 0;
      if (part->nlmsg_type == NLMSG_ERROR) return -static_cast<nlmsgerr*>(NLMSG_DATA(part))->error;
      each(part);
    }
  }
}

int Netlink::setLink(uint32_t device, uint16_t mtu) {
  Message shape(RTM_NEWLINK, NLM_F_ACK);
  ifinfomsg body{};
  body.ifi_index = static_cast<int>(device);
  shape.body(body);
  shape.u32(IFLA_MTU, mtu);
  shape.u32(IFLA_TXQLEN, kQueuePackets);
  if (const int error = transact(shape)) return error;

  // Before it is up, or the kernel has made a link-local address. A kernel without IPv6 makes none and refuses this.
  Message quiet(RTM_NEWLINK, NLM_F_ACK);
  quiet.body(body);
  const size_t families = quiet.open(IFLA_AF_SPEC);
  const size_t family = quiet.open(AF_INET6);
  quiet.u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
  quiet.close(family);
  quiet.close(families);
  transact(quiet);

  Message up(RTM_NEWLINK, NLM_F_ACK);
  body.ifi_flags = IFF_UP;
  body.ifi_change = IFF_UP;
  up.body(body);
  return transact(up);
}

int Netlink::addAddress(uint32_t device, const Network& address) {
  Message message(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
  ifaddrmsg body{};
  body.ifa_family = static_cast<uint8_t>(systemFamily(address.address.family));
  body.ifa_prefixlen = address.prefix;
  body.ifa_index = device;
  message.body(body);
  message.address(IFA_LOCAL, address.address);
  message.address(IFA_ADDRESS, address.address);
  message.u32(IFA_FLAGS, IFA_F_NOPREFIXROUTE | (address.address.family == 6 ? IFA_F_NODAD : 0));
  return transact(message);
}

int Netlink::addRoute(const Route& route) {
  return transact(routeMessage(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, route));
}

int Netlink::removeRoute(const Route& route) {
  return transact(routeMessage(RTM_DELROUTE, NLM_F_ACK, route));
}

int Netlink::addRule(const Rule& rule) {
  return transact(ruleMessage(RTM_NEWRULE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, rule));
}

int Netlink::removeRule(const Rule& rule) {
  return transact(ruleMessage(RTM_DELRULE, NLM_F_ACK, rule));
}

/** Dumps both families, again when the list changed meanwhile. A kernel without the family or the table has no entries. */
int Netlink::dumpFamilies(const std::function<Message(int family)>& request, const std::function<void()>& restart,
                          const std::function<void(uint8_t family, const nlmsghdr*)>& each) {
  for (int attempt = 1;; attempt++) {
    restart();
    int error = 0;
    for (const uint8_t family : {uint8_t{4}, uint8_t{6}}) {
      const int failed = dump(request(systemFamily(family)), [&](const nlmsghdr* part) { each(family, part); });
      if (failed != 0 && failed != ENOENT && failed != EAFNOSUPPORT && failed != EOPNOTSUPP) error = failed;
    }
    if (error != EINTR || attempt == kDumpAttempts) return error;
  }
}

int Netlink::routes(std::vector<Route>& found) {
  const auto request = [](int family) {
    Message message(RTM_GETROUTE, NLM_F_DUMP);
    rtmsg body{};
    body.rtm_family = static_cast<uint8_t>(family);
    message.body(body);
    message.u32(RTA_TABLE, kTable);
    return message;
  };
  return dumpFamilies(request, [&] { found.clear(); }, [&](uint8_t family, const nlmsghdr* message) {
    if (message->nlmsg_type != RTM_NEWROUTE || message->nlmsg_len < NLMSG_LENGTH(sizeof(rtmsg))) return;
    rtmsg body;
    std::memcpy(&body, NLMSG_DATA(message), sizeof body);
    uint32_t table = body.rtm_table;
    Route route;
    route.network.address.family = family;
    route.network.prefix = body.rtm_dst_len;
    route.type = body.rtm_type;
    forAttributes(message, sizeof body, [&](int type, const uint8_t* value, size_t size) {
      if (type == RTA_TABLE) table = numberOf(value, size);
      if (type == RTA_DST) copyAddress(route.network.address, value, size);
      if (type == RTA_PRIORITY) route.metric = numberOf(value, size);
      // IPv6 shows routes that lead nowhere on the loopback device.
      if (type == RTA_OIF && route.type == RTN_UNICAST) route.device = numberOf(value, size);
    });
    if (table == kTable && body.rtm_protocol == kOrigin) found.push_back(route);
  });
}

int Netlink::rules(std::vector<Rule>& found) {
  const auto request = [](int family) {
    Message message(RTM_GETRULE, NLM_F_DUMP);
    fib_rule_hdr body{};
    body.family = static_cast<uint8_t>(family);
    message.body(body);
    return message;
  };
  return dumpFamilies(request, [&] { found.clear(); }, [&](uint8_t family, const nlmsghdr* message) {
    if (message->nlmsg_type != RTM_NEWRULE || message->nlmsg_len < NLMSG_LENGTH(sizeof(fib_rule_hdr))) return;
    fib_rule_hdr body;
    std::memcpy(&body, NLMSG_DATA(message), sizeof body);
    uint8_t origin = 0;
    Rule rule;
    rule.family = family;
    rule.action = body.action;
    rule.flags = body.flags & FIB_RULE_FIND_SADDR;
    rule.source.address.family = family;
    rule.source.prefix = body.src_len;
    forAttributes(message, sizeof body, [&](int type, const uint8_t* value, size_t size) {
      if (type == FRA_PRIORITY) rule.priority = numberOf(value, size);
      if (type == FRA_FWMARK) rule.mark = numberOf(value, size);
      if (type == FRA_GOTO) rule.target = numberOf(value, size);
      if (type == FRA_SRC) copyAddress(rule.source.address, value, size);
      if (type == FRA_PROTOCOL && size == 1) origin = value[0];
    });
    if (origin == kOrigin && rule.priority >= kFirstRule && rule.priority <= kLastRule) found.push_back(rule);
  });
}

}  // namespace sockeye
