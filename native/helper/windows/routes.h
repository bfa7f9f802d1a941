// Which packets reach the adapter, by Windows' one routing table. Captured networks are routes to the adapter, which go with
// it; 0.0.0.0/0 and ::/0 are two halves each, so that no default route is edited. Excluded networks are routes to where they
// would go without us. Those are on other adapters and outlive this process, so they are written down before they are made, in
// a volatile key of the registry: a reboot clears it, as it clears the routes. Compiled with MinGW-w64; not yet run.
#ifndef SOCKEYE_ROUTES_H
#define SOCKEYE_ROUTES_H

#include <winsock2.h>
#include <windows.h>
#include <ws2ipdef.h>
#include <iphlpapi.h>
#include <netioapi.h>

#include <string>

#include "frames.h"

namespace sockeye {

/** Sets the adapter's MTU and addresses. @returns "" or what went wrong. */
std::string setUp(NET_LUID adapter, uint16_t mtu, const std::vector<Network>& addresses);

/** Makes the routes those of `capture`, and reads them back. @returns "" or what is not as it should be. */
std::string settle(NET_LUID adapter, const Capture& capture);

/** Removes what the journal has, of this process or another, and reads back. @returns "" or what could not be undone. */
std::string removeRoutes();

}  // namespace sockeye

#endif
