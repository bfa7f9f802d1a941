#include "routing.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sockeye {
namespace {

// A metric for each kind of route: the kernel has one route for a network and a metric, and new ones come before old ones go.
constexpr uint32_t kExcludeMetric = 1024;
constexpr uint32_t kCaptureMetric = 1025;
/** Worse, so that it counts only without the device's route. */
constexpr uint32_t kBlockMetric = 5200;
constexpr uint32_t kUnboundRule = 5201;
constexpr uint32_t kDeviceRule = 5202;
// A priority of its own: the kernel takes a rule without a source for one with any source at the same priority.
constexpr uint32_t kEverythingRule = 5203;

template <typename Item>
bool contains(const std::vector<Item>& list, const Item& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

template <typename Item>
void addOnce(std::vector<Item>& list, const Item& item) {
  if (!contains(list, item)) list.push_back(item);
}

bool uses(const std::vector<Route>& routes, uint8_t family) {
  return std::any_of(routes.begin(), routes.end(), [&](const Route& route) {
    return route.type != RTN_THROW && route.network.address.family == family;
  });
}

Rule lookUp(uint8_t family, uint32_t priority) {
  Rule rule;
  rule.family = rule.source.address.family = family;
  rule.priority = priority;
  rule.action = FR_ACT_TO_TBL;
  return rule;
}

/** The rules around the look-up: marked packets pass it by. What is jumped to comes first. */
void addMarkRules(std::vector<Rule>& rules, uint8_t family) {
  Rule end = lookUp(family, kLastRule);
  end.action = FR_ACT_NOP;
  Rule marked = lookUp(family, kFirstRule);
  marked.action = FR_ACT_GOTO;
  marked.mark = kMark;
  marked.target = kLastRule;
  rules.push_back(end);
  rules.push_back(marked);
}

/** In this order rules are added, and in the opposite one removed, so that the mark counts while there is a look-up. */
int rank(const Rule& rule) {
  if (rule.action == FR_ACT_NOP) return 0;
  return rule.action == FR_ACT_GOTO ? 1 : 2;
}

std::string failure(const char* what, int error) {
  return std::string(what) + ": " + std::strerror(error);
}

}  // namespace

Layout captureLayout(const Capture& capture, uint32_t device, const std::vector<Network>& addresses) {
  Layout layout;
  for (const Network& network : capture.excluded) addOnce(layout.routes, {network, RTN_THROW, kExcludeMetric, 0});
  for (const Network& network : capture.captured) {
    if (contains(capture.excluded, network)) continue;
    addOnce(layout.routes, {network, RTN_UNICAST, kCaptureMetric, device});
    if (capture.killSwitch) addOnce(layout.routes, {network, RTN_UNREACHABLE, kBlockMetric, 0});
  }
  if (capture.killSwitch) {
    layout.rules = blockedLayout(layout.routes).rules;
    return layout;
  }
  for (const uint8_t family : {uint8_t{4}, uint8_t{6}}) {
    if (!uses(layout.routes, family)) continue;
    addMarkRules(layout.rules, family);
    if (family == 4) {
      Rule unbound = lookUp(family, kUnboundRule);
      unbound.source.prefix = 32;
      layout.rules.push_back(unbound);
    }
    for (const Network& address : addresses) {
      if (address.address.family != family) continue;
      Rule taken = lookUp(family, kDeviceRule);
      taken.source = {address.address, static_cast<uint8_t>(address.address.size() * 8)};
      if (family == 6) taken.flags = FIB_RULE_FIND_SADDR;
      addOnce(layout.rules, taken);
    }
  }
  return layout;
}

Layout blockedLayout(const std::vector<Route>& routes) {
  Layout layout;
  for (const Route& route : routes)
    if (route.type != RTN_UNICAST) layout.routes.push_back(route);
  for (const uint8_t family : {uint8_t{4}, uint8_t{6}}) {
    if (!uses(layout.routes, family)) continue;
    addMarkRules(layout.rules, family);
    layout.rules.push_back(lookUp(family, kEverythingRule));
  }
  return layout;
}

std::string settle(Netlink& netlink, const Layout& wanted) {
  Layout found;
  if (const int error = netlink.routes(found.routes)) return failure("reading the routes", error);
  if (const int error = netlink.rules(found.rules)) return failure("reading the rules", error);

  for (const Route& route : wanted.routes) {
    if (contains(found.routes, route)) continue;
    if (const int error = netlink.addRoute(route))
      return failure(("adding the route to " + textOf(route.network.address)).c_str(), error);
  }
  std::vector<Rule> rules = wanted.rules;
  std::stable_sort(rules.begin(), rules.end(), [](const Rule& a, const Rule& b) { return rank(a) < rank(b); });
  for (const Rule& rule : rules) {
    if (contains(found.rules, rule)) continue;
    if (const int error = netlink.addRule(rule)) return failure("adding a rule", error);
  }

  // Whether a removal worked is seen when all is read again: what somebody else removed is gone just as well.
  std::stable_sort(found.rules.begin(), found.rules.end(),
                   [](const Rule& a, const Rule& b) { return rank(a) > rank(b); });
  for (const Rule& rule : found.rules)
    if (!contains(wanted.rules, rule)) netlink.removeRule(rule);
  for (const Route& route : found.routes)
    if (!contains(wanted.routes, route)) netlink.removeRoute(route);

  if (const int error = netlink.routes(found.routes)) return failure("reading the routes again", error);
  if (const int error = netlink.rules(found.rules)) return failure("reading the rules again", error);
  for (const Route& route : wanted.routes)
    if (!contains(found.routes, route)) return "a route is missing: " + textOf(route.network.address);
  for (const Rule& rule : wanted.rules)
    if (!contains(found.rules, rule)) return "rule " + std::to_string(rule.priority) + " is missing";
  for (const Route& route : found.routes)
    if (!contains(wanted.routes, route)) return "a route could not be removed: " + textOf(route.network.address);
  for (const Rule& rule : found.rules)
    if (!contains(wanted.rules, rule)) return "rule " + std::to_string(rule.priority) + " could not be removed";
  return "";
}

}  // namespace sockeye
