#include "session.h"

#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "dns.h"
#include "files.h"
#include "journal.h"

namespace sockeye {
namespace {

Outcome refuse(const Request& request, Refusal code, const std::string& sentence, int error = 0) {
  return {Answer(request, code, error, sentence), {}, false};
}

Outcome refuseSystem(const Request& request, const std::string& what, int error) {
  return refuse(request, Refusal::system, what + ": " + std::strerror(error), error);
}

Outcome granted(const Request& request) { return {Answer(request), {}, false}; }

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

}  // namespace

Outcome Session::handle(const Request& request) {
  if (const auto* hello = std::get_if<Hello>(&request.verb)) {
    greeted_ = hello->version == kProtocolVersion;
    if (!greeted_) {
      Outcome outcome = refuse(request, Refusal::version,
                               "this helper speaks version " + std::to_string(kProtocolVersion) +
                                   " of its protocol, and was asked for version " + std::to_string(hello->version));
      outcome.over = true;
      return outcome;
    }
    Outcome outcome = granted(request);
    outcome.answer.u16(kProtocolVersion).text(SOCKEYE_BUILD);
    return outcome;
  }
  if (!greeted_) return refuse(request, Refusal::state, "the first request must be a hello");
  if (const auto* verb = std::get_if<Open>(&request.verb)) return open(request, *verb);
  if (const auto* verb = std::get_if<Capture>(&request.verb)) return capture(request, *verb);
  if (const auto* verb = std::get_if<Dns>(&request.verb)) return dns(request, *verb);
  if (const auto* verb = std::get_if<Sockets>(&request.verb)) return sockets(request, *verb);
  if (const auto* verb = std::get_if<Release>(&request.verb)) return release(request, *verb);
  return status(request);
}

Outcome Session::open(const Request& request, const Open& open) {
  if (device_.index != 0) return refuse(request, Refusal::state, "this client has a device already");
  Device device;
  const char* step = "";
  if (const int error = openDevice(open, netlink_, device, step)) {
    if (device.descriptor >= 0) close(device.descriptor);
    return refuseSystem(request, step, error);
  }
  device_ = device;
  addresses_ = open.addresses;
  Outcome outcome = granted(request);
  outcome.answer.text(device.name).u32(device.index).u16(open.mtu).u8(device.vnetHeader ? 1 : 0);
  outcome.descriptors.push_back(device.descriptor);
  device_.descriptor = -1;
  return outcome;
}

Outcome Session::capture(const Request& request, const Capture& capture) {
  if (device_.index == 0) return refuse(request, Refusal::state, "there is no device yet to capture traffic with");
  for (const Network& network : capture.captured) {
    const bool has = std::any_of(addresses_.begin(), addresses_.end(), [&](const Network& address) {
      return address.address.family == network.address.family;
    });
    if (!has) return refuse(request, Refusal::state, "the device has no address of a captured network's family");
  }
  // Ours, or what a client before left in place.
  Layout before;
  if (const int error = netlink_.routes(before.routes)) return refuseSystem(request, "reading the routes", error);
  if (const int error = netlink_.rules(before.rules)) return refuseSystem(request, "reading the rules", error);
  // A kill switch that is on stays on while its networks are replaced: it is released by its own removal only.
  Journal journal = loadJournal();
  const bool wasOn = journal.killSwitch == KillSwitch::on;
  const bool wanted = capture.killSwitch && !capture.captured.empty();
  if (wanted != wasOn) journal.killSwitch = KillSwitch::pending;
  if (const int error = saveJournal(journal)) return refuseSystem(request, "the journal", error);

  std::string problem = settle(netlink_, captureLayout(capture, device_.index, addresses_));
  if (!problem.empty()) {
    const std::string worse = settle(netlink_, before);
    if (!worse.empty()) problem += "; and going back failed: " + worse;
    journal.killSwitch = wasOn ? KillSwitch::on : KillSwitch::off;
    if (worse.empty()) saveJournal(journal);
    return refuse(request, Refusal::system, problem);
  }
  journal.killSwitch = wanted ? KillSwitch::on : KillSwitch::off;
  if (const int error = saveJournal(journal)) return refuseSystem(request, "the journal", error);
  return granted(request);
}

Outcome Session::dns(const Request& request, const Dns& dns) {
  if (device_.index == 0) return refuse(request, Refusal::state, "there is no device yet to ask name servers through");
  Journal journal = loadJournal();
  std::string problem = restoreDns(journal);
  if (!dns.on) {
    saveJournal(journal);
    dnsWay_ = DnsWay::none;
    if (!problem.empty()) return refuse(request, Refusal::system, problem);
  } else {
    // A file that somebody else has changed since is the one to go back to from now on.
    if (!problem.empty()) say(problem);
    const DnsWay way = dnsWay();
    if (way == DnsWay::resolved) {
      journal.dnsDevice = device_.index;
      journal.dnsDeviceName = device_.name;
    }
    dnsWay_ = way;
    problem = setDns(dns, way, journal);
    if (!problem.empty()) {
      const std::string worse = restoreDns(journal);
      if (worse.empty()) dnsWay_ = DnsWay::none;
      saveJournal(journal);
      return refuse(request, Refusal::system, problem);
    }
  }
  Outcome outcome = granted(request);
  outcome.answer.u8(static_cast<uint8_t>(dnsWay_));
  return outcome;
}

Outcome Session::sockets(const Request& request, const Sockets& sockets) {
  Outcome outcome = granted(request);
  for (uint8_t i = 0; i < sockets.count; i++) {
    const int descriptor = markedSocket(sockets);
    if (descriptor < 0) {
      for (const int made : outcome.descriptors) close(made);
      return refuseSystem(request, "making a socket", -descriptor);
    }
    outcome.descriptors.push_back(descriptor);
  }
  outcome.answer.u8(sockets.count);
  return outcome;
}

Outcome Session::release(const Request& request, const Release& release) {
  const std::vector<std::string> problems = undo(release.keepKillSwitch);
  dnsWay_ = DnsWay::none;
  // The device is the client's to close; another one may be opened afterwards.
  device_ = Device();
  addresses_.clear();
  Outcome outcome = granted(request);
  outcome.answer.u8(static_cast<uint8_t>(problems.size()));
  for (const std::string& problem : problems) outcome.answer.text(problem);
  return outcome;
}

Outcome Session::status(const Request& request) {
  std::vector<Route> routes;
  if (const int error = netlink_.routes(routes)) return refuseSystem(request, "reading the routes", error);
  const auto count = [&](uint8_t type) {
    return static_cast<uint16_t>(
        std::count_if(routes.begin(), routes.end(), [&](const Route& route) { return route.type == type; }));
  };
  Outcome outcome = granted(request);
  outcome.answer.text(device_.name).u32(device_.index).u16(count(RTN_UNICAST)).u16(count(RTN_THROW));
  outcome.answer.u8(loadJournal().killSwitch == KillSwitch::on ? 1 : 0).u8(static_cast<uint8_t>(dnsWay_));
  return outcome;
}

/** Where this program is, for people. */
static std::string ownPath() {
  char path[4096];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof path);
  return size < 0 ? "sockeye-helper" : std::string(path, static_cast<size_t>(size));
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

void say(const std::string& sentence) {
  const std::string line = "sockeye-helper: " + sentence + "\n";
  if (write(STDERR_FILENO, line.data(), line.size()) < 0) return;
}

}  // namespace sockeye
