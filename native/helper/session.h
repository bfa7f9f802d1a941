// One client's session: its verbs in their order, and what is answered.
#ifndef SOCKEYE_SESSION_H
#define SOCKEYE_SESSION_H

#include <memory>
#include <string>
#include <vector>

#include "frames.h"
#include "machine.h"

namespace sockeye {

/** What a request comes to. The descriptors go with the answer, and are closed here once it is sent. */
struct Outcome {
  Answer answer;
  std::vector<int> descriptors;
  /** The client is not spoken with any further. */
  bool over = false;
};

class Session {
 public:
  /** Carries out one request. The first must be a hello of our version. */
  Outcome handle(const Request& request);

 private:
  Outcome open(const Request& request, const Open& open);
  Outcome capture(const Request& request, const Capture& capture);
  Outcome dns(const Request& request, const Dns& dns);
  Outcome sockets(const Request& request, const Sockets& sockets);
  Outcome release(const Request& request, const Release& release);
  Outcome status(const Request& request);

  std::unique_ptr<Machine> machine_ = thisMachine();
  bool greeted_ = false;
  Device device_;
  DnsWay dnsWay_ = DnsWay::none;
};

}  // namespace sockeye

#endif
