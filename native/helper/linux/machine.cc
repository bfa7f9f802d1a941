#include "machine.h"

#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "device.h"
#include "dns.h"
#include "journal.h"
#include "netlink.h"
#include "routing.h"

namespace sockeye {
namespace {

Failure failure(const std::string& what, int error) { return {what + ": " + std::strerror(error), error}; }

/** Binds to a port that nobody else has: libuv lets sockets it did not make share ports, so it must be chosen before. */
bool bindAnywhere(int descriptor, int domain) {
  sockaddr_in6 any{};
  any.sin6_family = static_cast<sa_family_t>(domain);
  const socklen_t size = domain == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  return bind(descriptor, reinterpret_cast<const sockaddr*>(&any), size) == 0;
}

/** One unconnected socket whose traffic passes our rules by. @returns the descriptor, or minus an errno. */
int markedSocket(const Sockets& wanted) {
  const int domain = wanted.family == 4 ? AF_INET : AF_INET6;
  const int type = (wanted.datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const int descriptor = socket(domain, type, 0);
  if (descriptor < 0) return -errno;
  const int on = 1;
  if (setsockopt(descriptor, SOL_SOCKET, SO_MARK, &kMark, sizeof kMark) != 0 ||
      (domain == AF_INET6 && setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0) ||
      (wanted.datagram && !bindAnywhere(descriptor, domain))) {
    const int error = errno;
    close(descriptor);
    return -error;
  }
  return descriptor;
}

class LinuxMachine final : public Machine {
 public:
  Problem open(const Open& wanted, Device& device) override {
    const char* step = "";
    if (const int error = openDevice(wanted, netlink_, device, step)) {
      if (device.descriptor >= 0) close(device.descriptor);
      return failure(step, error);
    }
    return {};
  }

  Problem capture(const Capture& capture, const Device& device) override {
    // Ours, or what a client before left in place.
    Layout before;
    if (const int error = netlink_.routes(before.routes)) return failure("reading the routes", error);
    if (const int error = netlink_.rules(before.rules)) return failure("reading the rules", error);
    // A kill switch that is on stays on while its networks are replaced: it is released by its own removal only.
    Journal journal = loadJournal();
    const bool wasOn = journal.killSwitch == KillSwitch::on;
    const bool wanted = capture.killSwitch && !capture.captured.empty();
    if (wanted != wasOn) journal.killSwitch = KillSwitch::pending;
    if (const int error = saveJournal(journal)) return failure("the journal", error);

    std::string problem = settle(netlink_, captureLayout(capture, device.index, device.addresses));
    if (!problem.empty()) {
      const std::string worse = settle(netlink_, before);
      if (!worse.empty()) problem += "; and going back failed: " + worse;
      journal.killSwitch = wasOn ? KillSwitch::on : KillSwitch::off;
      if (worse.empty()) saveJournal(journal);
      return Failure{problem};
    }
    journal.killSwitch = wanted ? KillSwitch::on : KillSwitch::off;
    if (const int error = saveJournal(journal)) return failure("the journal", error);
    return {};
  }

  Problem dns(const Dns& dns, const Device& device, DnsWay& way) override {
    Journal journal = loadJournal();
    std::string problem = restoreDns(journal);
    if (!dns.on) {
      saveJournal(journal);
      way = DnsWay::none;
      if (!problem.empty()) return Failure{problem};
      return {};
    }
    // A file that somebody else has changed since is the one to go back to from now on.
    if (!problem.empty()) say(problem);
    way = dnsWay();
    if (way == DnsWay::resolved) {
      journal.dnsDevice = device.index;
      journal.dnsDeviceName = device.name;
    }
    problem = setDns(dns, way, journal);
    if (problem.empty()) return {};
    const std::string worse = restoreDns(journal);
    if (worse.empty()) way = DnsWay::none;
    saveJournal(journal);
    return Failure{problem};
  }

  Problem sockets(const Sockets& wanted, std::vector<int>& made) override {
    for (uint8_t i = 0; i < wanted.count; i++) {
      const int descriptor = markedSocket(wanted);
      if (descriptor < 0) {
        for (const int each : made) close(each);
        made.clear();
        return failure("making a socket", -descriptor);
      }
      made.push_back(descriptor);
    }
    return {};
  }

  Problem count(Counts& counts) override {
    std::vector<Route> routes;
    if (const int error = netlink_.routes(routes)) return failure("reading the routes", error);
    const auto count = [&](uint8_t type) {
      return static_cast<uint16_t>(
          std::count_if(routes.begin(), routes.end(), [&](const Route& route) { return route.type == type; }));
    };
    counts = {count(RTN_UNICAST), count(RTN_THROW), loadJournal().killSwitch == KillSwitch::on};
    return {};
  }

 private:
  Netlink netlink_;
};

/** Where this program is, for people. */
std::string ownPath() {
  char path[4096];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof path);
  return size < 0 ? "sockeye-helper" : std::string(path, static_cast<size_t>(size));
}

}  // namespace

std::unique_ptr<Machine> thisMachine() { return std::make_unique<LinuxMachine>(); }

std::vector<std::string> whatIsSet() {
  std::vector<std::string> set;
  const Journal journal = loadJournal();
  if (journal.killSwitch != KillSwitch::off) set.push_back("the kill switch");
  Netlink netlink;
  Layout found;
  if (netlink.routes(found.routes) == 0 && !found.routes.empty())
    set.push_back("routes: " + std::to_string(found.routes.size()));
  if (netlink.rules(found.rules) == 0 && !found.rules.empty())
    set.push_back("policy rules: " + std::to_string(found.rules.size()));
  if (isDnsSet(journal)) set.push_back("the system's name servers");
  return set;
}

std::vector<std::string> undo(bool keepKillSwitch) {
  std::vector<std::string> problems;
  Journal journal = loadJournal();
  const std::string dns = restoreDns(journal);
  if (!dns.empty()) problems.push_back(dns);

  const bool keep = keepKillSwitch && journal.killSwitch == KillSwitch::on;
  if (!keep && journal.killSwitch == KillSwitch::on) journal.killSwitch = KillSwitch::pending;
  if (journal.killSwitch != KillSwitch::off && saveJournal(journal) != 0)
    problems.push_back("the journal could not be written");

  Netlink netlink;
  Layout kept;
  std::string routing;
  if (keep) {
    std::vector<Route> routes;
    if (const int error = netlink.routes(routes)) routing = std::string("reading the routes: ") + std::strerror(error);
    kept = blockedLayout(routes);
  }
  if (routing.empty()) routing = settle(netlink, kept);
  if (!routing.empty()) problems.push_back(routing);
  if (keep)
    say("the kill switch stays on: captured networks reach nothing until Sockeye connects again, or `sudo " + ownPath() +
        " --cleanup` releases it");

  if (problems.empty() && !keep && removeJournal() != 0) problems.push_back("the journal could not be removed");
  for (const std::string& problem : problems) say("not undone: " + problem);
  return problems;
}

}  // namespace sockeye
