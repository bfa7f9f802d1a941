// What a session does to the machine. Each system carries it out in its own way: linux/, macos/, windows/.
#ifndef SOCKEYE_MACHINE_H
#define SOCKEYE_MACHINE_H

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "frames.h"

namespace sockeye {

/** Why something was not done, in the words of the answer. */
struct Failure {
  std::string sentence;
  /** An errno, or Windows' error number. */
  int error = 0;
  Refusal code = Refusal::system;
};
/** Nothing, when it was done. */
using Problem = std::optional<Failure>;

/** A device that is open and set up. */
struct Device {
  /** It is the caller's to close; -1 where packets are carried otherwise. The device lives as long as somebody has it open. */
  int descriptor = -1;
  std::string name;
  uint32_t index = 0;
  bool vnetHeader = false;
  std::vector<Network> addresses;
};

/** What is captured now. */
struct Counts {
  uint16_t captured = 0;
  uint16_t excluded = 0;
  bool killSwitch = false;
};

/** One session's hold on the machine. */
class Machine {
 public:
  virtual ~Machine() = default;

  /** Makes the device; where it fails, there is none. */
  virtual Problem open(const Open& wanted, Device& device) = 0;
  /** Replaces what is captured. Where it fails, what was before is there again, or the sentence says what is not. */
  virtual Problem capture(const Capture& capture, const Device& device) = 0;
  /** Sets name servers, or goes back to the machine's own. `way` is what holds afterwards, whether it failed or not. */
  virtual Problem dns(const Dns& dns, const Device& device, DnsWay& way) = 0;
  /** Sockets that are never captured. Where it fails, none is made. */
  virtual Problem sockets(const Sockets& wanted, std::vector<int>& made) = 0;
  virtual Problem count(Counts& counts) = 0;
  /** All was undone, and the device given up. */
  virtual void forget() {}
};

std::unique_ptr<Machine> thisMachine();

/**
 * Undoes what the journals and the system say was done, by whichever process, and reads it back. A kill switch that was on
 * stays where it is to be kept. What could not be undone stays in the journal.
 * @returns what could not be undone; empty when nothing is left.
 */
std::vector<std::string> undo(bool keepKillSwitch);

/** What undo() would undo now, in words for people. */
std::vector<std::string> whatIsSet();

/** A line for whoever reads our log. */
void say(const std::string& sentence);

}  // namespace sockeye

#endif
