// The routing socket (route(4)), as much of it as the helper needs. Written against Apple's headers; not yet compiled or run.
#ifndef SOCKEYE_ROUTES_H
#define SOCKEYE_ROUTES_H

#include <vector>

#include "frames.h"

namespace sockeye {

struct Route {
  Network network;
  /** Where it goes: by way of a gateway, or straight to the network of an interface. */
  bool hasGateway = false;
  Address gateway;
  /** The interface's number. */
  uint32_t interface = 0;

  /** The interface of a gateway is what the system makes of it. */
  bool operator==(const Route& other) const {
    return network == other.network && hasGateway == other.hasGateway &&
           (hasGateway ? gateway == other.gateway : interface == other.interface);
  }
};

/**
 * The table's routes of both families, without those to single neighbours and those for sockets bound to an interface.
 * @returns 0 or an errno.
 */
int readTable(std::vector<Route>& routes);
/** @returns 0 or an errno: EEXIST where there is one for the same network. */
int addRoute(const Route& route);
/** @returns 0 or an errno. */
int removeRoute(const Route& route);

}  // namespace sockeye

#endif
