// One client's session: its verbs carried out, and undone.
#ifndef SOCKEYE_SESSION_H
#define SOCKEYE_SESSION_H

#include <string>
#include <vector>

#include "device.h"
#include "frames.h"
#include "routing.h"

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

  Netlink netlink_;
  bool greeted_ = false;
  Device device_;
  std::vector<Network> addresses_;
  DnsWay dnsWay_ = DnsWay::none;
};

/**
 * Undoes what the journals and the kernel say was done, by whichever process, and reads it back. A kill switch that was on
 * stays where it is to be kept. What could not be undone stays in the journal.
 * @returns what could not be undone; empty when nothing is left.
 */
std::vector<std::string> undo(bool keepKillSwitch);

/** A line for whoever reads our log. */
void say(const std::string& sentence);

}  // namespace sockeye

#endif
