#include "session.h"

#include <algorithm>

namespace sockeye {
namespace {

Outcome refuse(const Request& request, Refusal code, const std::string& sentence, int error = 0) {
  return {Answer(request, code, error, sentence), {}, false};
}

Outcome refuse(const Request& request, const Failure& failure) {
  return refuse(request, failure.code, failure.sentence, failure.error);
}

Outcome granted(const Request& request) { return {Answer(request), {}, false}; }

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
  if (const Problem problem = machine_->open(open, device)) return refuse(request, *problem);
  device.addresses = open.addresses;
  device_ = device;
  Outcome outcome = granted(request);
  outcome.answer.text(device.name).u32(device.index).u16(open.mtu).u8(device.vnetHeader ? 1 : 0);
  if (device.descriptor >= 0) outcome.descriptors.push_back(device.descriptor);
  device_.descriptor = -1;
  return outcome;
}

Outcome Session::capture(const Request& request, const Capture& capture) {
  if (device_.index == 0) return refuse(request, Refusal::state, "there is no device yet to capture traffic with");
  for (const Network& network : capture.captured) {
    const bool has = std::any_of(device_.addresses.begin(), device_.addresses.end(), [&](const Network& address) {
      return address.address.family == network.address.family;
    });
    if (!has) return refuse(request, Refusal::state, "the device has no address of a captured network's family");
  }
  if (const Problem problem = machine_->capture(capture, device_)) return refuse(request, *problem);
  return granted(request);
}

Outcome Session::dns(const Request& request, const Dns& dns) {
  if (device_.index == 0) return refuse(request, Refusal::state, "there is no device yet to ask name servers through");
  if (const Problem problem = machine_->dns(dns, device_, dnsWay_)) return refuse(request, *problem);
  Outcome outcome = granted(request);
  outcome.answer.u8(static_cast<uint8_t>(dnsWay_));
  return outcome;
}

Outcome Session::sockets(const Request& request, const Sockets& sockets) {
  Outcome outcome = granted(request);
  if (const Problem problem = machine_->sockets(sockets, outcome.descriptors)) return refuse(request, *problem);
  outcome.answer.u8(sockets.count);
  return outcome;
}

Outcome Session::release(const Request& request, const Release& release) {
  const std::vector<std::string> problems = undo(release.keepKillSwitch);
  dnsWay_ = DnsWay::none;
  // The device is the client's to close; another one may be opened afterwards.
  device_ = Device();
  machine_->forget();
  Outcome outcome = granted(request);
  outcome.answer.u8(static_cast<uint8_t>(problems.size()));
  for (const std::string& problem : problems) outcome.answer.text(problem);
  return outcome;
}

Outcome Session::status(const Request& request) {
  Counts counts;
  if (const Problem problem = machine_->count(counts)) return refuse(request, *problem);
  Outcome outcome = granted(request);
  outcome.answer.text(device_.name).u32(device_.index).u16(counts.captured).u16(counts.excluded);
  outcome.answer.u8(counts.killSwitch ? 1 : 0).u8(static_cast<uint8_t>(dnsWay_));
  return outcome;
}

}  // namespace sockeye
