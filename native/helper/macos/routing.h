// Which packets reach the device, by macOS' one routing table. Captured networks are routes to the device; 0.0.0.0/0 and ::/0,
// and a network that has a route of somebody else's, are two halves each, so that no route but ours is edited. Excluded networks
// are routes to where they would go without us, found anew each time. A route carries nothing that says it is ours, so all are in
// a journal, written before they are made, which a reboot clears as it clears them. Not yet compiled or run.
#ifndef SOCKEYE_ROUTING_H
#define SOCKEYE_ROUTING_H

#include <string>

#include "frames.h"

namespace sockeye {

/** Makes our routes those of `capture` for the device of that number, and reads them back. @returns "" or what is wrong. */
std::string settle(const Capture& capture, uint32_t device);

/** Removes what the journal has, of this process or another, and reads back. @returns "" or what could not be undone. */
std::string removeRoutes();

}  // namespace sockeye

#endif
