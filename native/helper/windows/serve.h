// The loop: one client at a time, its frames in, answers out, and an end that undoes. Compiled with MinGW-w64; not yet run.
#ifndef SOCKEYE_SERVE_H
#define SOCKEYE_SERVE_H

#include "pipe.h"

namespace sockeye {

/** Serves whoever may ask until `stop` is set, which ends a session as well. */
void serve(Pipe& control);

/** The process whose session is under way. */
DWORD servedProcess();

}  // namespace sockeye

#endif
