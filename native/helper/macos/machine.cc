// What a session does to a Mac. Written against Apple's headers; not yet compiled or run.
#include "machine.h"

#include <unistd.h>

#include <cstring>

#include "device.h"
#include "dns.h"
#include "routing.h"

namespace sockeye {
namespace {

Failure unsupported(const char* sentence) { return {sentence, 0, Refusal::unsupported}; }

class MacMachine final : public Machine {
 public:
  Problem open(const Open& wanted, Device& device) override {
    const char* step = "";
    if (const int error = openDevice(wanted, device, step)) {
      if (device.descriptor >= 0) close(device.descriptor);
      return Failure{std::string(step) + ": " + std::strerror(error), error};
    }
    return {};
  }

  Problem capture(const Capture& capture, const Device& device) override {
    if (capture.killSwitch) return unsupported("the kill switch is not there on macOS yet");
    std::string problem = settle(capture, device.index);
    if (problem.empty()) {
      captured_ = capture;
      return {};
    }
    const std::string worse = settle(captured_, device.index);
    if (!worse.empty()) problem += "; and going back failed: " + worse;
    return Failure{problem};
  }

  Problem dns(const Dns& dns, const Device&, DnsWay& way) override {
    const std::string problem = dns.on ? setDns(dns) : restoreDns();
    if (problem.empty()) {
      way = dns.on ? DnsWay::system : DnsWay::none;
      return {};
    }
    if (!dns.on || restoreDns().empty()) way = DnsWay::none;
    return Failure{problem};
  }

  Problem sockets(const Sockets&, std::vector<int>&) override {
    return unsupported("sockets are bound past the device by the engine on macOS");
  }

  Problem count(Counts& counts) override {
    counts = {static_cast<uint16_t>(captured_.captured.size()), static_cast<uint16_t>(captured_.excluded.size()), false};
    return {};
  }

  void forget() override { captured_ = Capture(); }

 private:
  Capture captured_;
};

}  // namespace

std::unique_ptr<Machine> thisMachine() { return std::make_unique<MacMachine>(); }

/** What is set goes with its owner or with the device; see undo(). */
std::vector<std::string> whatIsSet() { return {}; }

std::vector<std::string> undo(bool) {
  std::vector<std::string> problems;
  for (const std::string& problem : {restoreDns(), removeRoutes()})
    if (!problem.empty()) problems.push_back(problem);
  for (const std::string& problem : problems) say("not undone: " + problem);
  return problems;
}

}  // namespace sockeye
