// What a session does to a Windows machine. Compiled with MinGW-w64; not yet run.
#include "adapter.h"
#include "names.h"
#include "routes.h"
#include "serve.h"

namespace sockeye {
namespace {

Failure unsupported(const char* sentence) { return {sentence, 0, Refusal::unsupported}; }

class WindowsMachine final : public Machine {
 public:
  Problem open(const Open& wanted, Device& device) override {
    Problem problem;
    auto adapter = std::make_unique<Adapter>(wanted.name, servedProcess(), problem);
    if (problem) return problem;
    const std::string wrong = setUp(adapter->luid(), wanted.mtu, wanted.addresses);
    if (!wrong.empty()) return Failure{wrong};
    NET_LUID luid = adapter->luid();
    NET_IFINDEX index = 0;
    if (ConvertInterfaceLuidToIndex(&luid, &index) != NO_ERROR) return Failure{"the TUN device has no number"};
    device.name = wanted.name;
    device.index = index;
    adapter_ = std::move(adapter);
    return {};
  }

  Problem capture(const Capture& capture, const Device&) override {
    if (capture.killSwitch) return unsupported("the kill switch is not there on Windows yet");
    std::string problem = settle(adapter_->luid(), capture);
    if (problem.empty()) {
      captured_ = capture;
      return {};
    }
    const std::string worse = settle(adapter_->luid(), captured_);
    if (!worse.empty()) problem += "; and going back failed: " + worse;
    return Failure{problem};
  }

  Problem dns(const Dns& dns, const Device&, DnsWay& way) override {
    std::string problem = dns.on ? setNames(dns) : restoreNames();
    if (problem.empty()) {
      way = dns.on ? DnsWay::system : DnsWay::none;
      return {};
    }
    if (!dns.on || restoreNames().empty()) way = DnsWay::none;
    return Failure{problem};
  }

  Problem sockets(const Sockets&, std::vector<int>&) override {
    return unsupported("sockets are bound past the device by the engine on Windows");
  }

  Problem count(Counts& counts) override {
    counts = {static_cast<uint16_t>(captured_.captured.size()), static_cast<uint16_t>(captured_.excluded.size()), false};
    return {};
  }

  void forget() override {
    adapter_.reset();
    captured_ = Capture();
  }

 private:
  std::unique_ptr<Adapter> adapter_;
  Capture captured_;
};

}  // namespace

std::unique_ptr<Machine> thisMachine() { return std::make_unique<WindowsMachine>(); }

std::vector<std::string> undo(bool) {
  std::vector<std::string> problems;
  for (const std::string& problem : {restoreNames(), removeRoutes()})
    if (!problem.empty()) problems.push_back(problem);
  for (const std::string& problem : problems) say("not undone: " + problem);
  return problems;
}

}  // namespace sockeye
