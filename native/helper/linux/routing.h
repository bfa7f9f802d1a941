// Which packets reach the TUN device. A table of our own holds the captured networks and, as `throw`, the excluded ones; rules
// send to it what has no source address yet, or the device's own. Connections that exist already and replies of local servers
// have another source and are untouched, and so is everything that carries our mark. No route of the main table is used or
// changed, so its default route may come and go.
//
//   5200  fwmark 0x50c goto 5204                    the engine's own sockets
//   5201  from 0.0.0.0/32 lookup 5200 (IPv4)        sockets without a source
//   5202  from DEVICE'S ADDRESS lookup 5200         those that took the device's; in IPv6 also those that would take it
//   5204  nop
//
// With the kill switch 5203, `from all lookup 5200`, stands in place of 5201 and 5202, and the captured networks are also
// `unreachable`, which counts when the device is gone.
#ifndef SOCKEYE_ROUTING_H
#define SOCKEYE_ROUTING_H

#include <string>
#include <vector>

#include "netlink.h"

namespace sockeye {

/** What the engine's own sockets carry. */
constexpr uint32_t kMark = 0x50c;

struct Layout {
  std::vector<Route> routes;
  std::vector<Rule> rules;
};

/** For a device with these addresses. Networks both captured and excluded are excluded. */
Layout captureLayout(const Capture& capture, uint32_t device, const std::vector<Network>& addresses);

/** What of these routes a kill switch keeps, and its rules. */
Layout blockedLayout(const std::vector<Route>& routes);

/**
 * Makes our table and our rules those of the layout. What is new is added before what is old is removed, so that no captured
 * packet goes astray between the two, and in an order in which the engine's own never come back to it.
 * @returns "" once all of it was read back, or what is not as it should be.
 */
std::string settle(Netlink& netlink, const Layout& wanted);

}  // namespace sockeye

#endif
