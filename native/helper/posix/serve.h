// The loop: one client at a time, its frames in, answers out, and an end that undoes.
#ifndef SOCKEYE_SERVE_H
#define SOCKEYE_SERVE_H

#include <string>

#include "frames.h"

namespace sockeye {

/** Signals that end the helper in an orderly way. Blocked, and read from the descriptor. @returns the descriptor. */
int orderlyEnd();

/** Tells a client, in a frame that answers no request, why it is not served. */
void refuseClient(int client, Refusal code, const std::string& sentence);

/** Serves the one client of a connected socket until it ends. The caller holds the lock. @returns the exit status. */
int serveOne(int client, int signals);

/** Serves whoever may ask, one at a time, until a signal. @returns the exit status. */
int serveAll(int listener, int signals);

}  // namespace sockeye

#endif
