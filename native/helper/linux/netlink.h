// rtnetlink, as much of it as the helper needs: links, addresses, routes of our table and our policy rules.
#ifndef SOCKEYE_NETLINK_H
#define SOCKEYE_NETLINK_H

#include <functional>
#include <string>
#include <vector>

#include "frames.h"

struct nlmsghdr;

namespace sockeye {

/** The routing table that is ours alone. */
constexpr uint32_t kTable = 5200;
/** The origin that our routes and rules carry, so that we never take another's for ours. */
constexpr uint8_t kOrigin = 205;
/** Our rules' priorities. */
constexpr uint32_t kFirstRule = 5200;
constexpr uint32_t kLastRule = 5204;

struct Route {
  Network network;
  uint8_t type = 0;     // RTN_UNICAST, RTN_THROW or RTN_UNREACHABLE
  uint32_t metric = 0;
  uint32_t device = 0;  // 0 unless unicast

  bool operator==(const Route& other) const {
    return type == other.type && metric == other.metric && device == other.device && network == other.network;
  }
};

struct Rule {
  uint8_t family = 4;
  uint32_t priority = 0;
  uint8_t action = 0;  // FR_ACT_TO_TBL, FR_ACT_GOTO or FR_ACT_NOP
  uint32_t mark = 0;
  uint32_t target = 0;  // the priority that FR_ACT_GOTO goes to
  Network source;       // prefix 0: any
  uint32_t flags = 0;   // FIB_RULE_FIND_SADDR

  bool operator==(const Rule& other) const {
    return family == other.family && priority == other.priority && action == other.action &&
           mark == other.mark && target == other.target && flags == other.flags &&
           source.prefix == other.source.prefix && (source.prefix == 0 || source == other.source);
  }
};

class Message;

/** One rtnetlink socket. Each call returns 0 or an errno. */
class Netlink {
 public:
  Netlink();
  ~Netlink();
  Netlink(const Netlink&) = delete;
  Netlink& operator=(const Netlink&) = delete;

  /** Gives the device its queue and MTU, keeps the kernel from making addresses up, and sets it up. */
  int setLink(uint32_t device, uint16_t mtu);
  /** No duplicate detection, and no route to the prefix: the main table stays as it is. */
  int addAddress(uint32_t device, const Network& address);
  int addRoute(const Route& route);
  int removeRoute(const Route& route);
  int addRule(const Rule& rule);
  int removeRule(const Rule& rule);
  /** Those of both families that carry our origin. */
  int routes(std::vector<Route>& found);
  int rules(std::vector<Rule>& found);

 private:
  int transact(const Message& message);
  int dump(Message message, const std::function<void(const nlmsghdr*)>& each);
  int dumpFamilies(const std::function<Message(int family)>& request, const std::function<void()>& restart,
                   const std::function<void(uint8_t family, const nlmsghdr*)>& each);

  int socket_;
  uint32_t sequence_ = 0;
};

}  // namespace sockeye

#endif
