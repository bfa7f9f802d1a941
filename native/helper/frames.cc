#include "frames.h"

#ifdef _WIN32
#include <ws2tcpip.h>
#else
#include <arpa/inet.h>
#endif

#include <cstring>

namespace sockeye {
namespace {

/** Takes fields from a frame. After the first one that is missing or wrong, everything is zero and `wrong` says why. */
class Fields {
 public:
  Fields(const uint8_t* bytes, size_t size) : next_(bytes), left_(size) {}

  const char* wrong = nullptr;

  uint8_t u8() { return static_cast<uint8_t>(number(1)); }
  uint16_t u16() { return static_cast<uint16_t>(number(2)); }
  uint32_t u32() { return number(4); }

  bool flag() {
    const uint8_t value = u8();
    if (value > 1) fail("a flag is neither 0 nor 1");
    return value == 1;
  }

  uint8_t family() {
    const uint8_t value = u8();
    if (value != 4 && value != 6) fail("an address family is neither 4 nor 6");
    return value;
  }

  size_t count(size_t value, size_t most) {
    if (value > most) fail("a count is above its limit");
    return wrong == nullptr ? value : 0;
  }

  std::string text() {
    const size_t size = u8();
    const uint8_t* bytes = take(size);
    return bytes == nullptr ? std::string() : std::string(reinterpret_cast<const char*>(bytes), size);
  }

  Address address() {
    Address address;
    address.family = family();
    const uint8_t* bytes = take(address.size());
    if (bytes != nullptr) std::memcpy(address.bytes, bytes, address.size());
    return address;
  }

  Network hostInNetwork() {
    Network network;
    network.address = address();
    network.prefix = u8();
    if (network.prefix > network.address.size() * 8) fail("a prefix is longer than its address");
    return network;
  }

  Network network() {
    const Network network = hostInNetwork();
    for (size_t bit = network.prefix; wrong == nullptr && bit < network.address.size() * 8; bit++)
      if ((network.address.bytes[bit / 8] >> (7 - bit % 8)) & 1) fail("a network has bits behind its prefix");
    return network;
  }

  std::vector<Network> networks() {
    std::vector<Network> list(count(u16(), kMaxNetworks));
    for (Network& each : list) each = network();
    return list;
  }

  void end() {
    if (left_ != 0) fail("there are bytes after the last field");
  }

  void fail(const char* reason) {
    if (wrong == nullptr) wrong = reason;
  }

 private:
  const uint8_t* take(size_t size) {
    if (size > left_) fail("it ends within a field");
    if (wrong != nullptr) return nullptr;
    const uint8_t* taken = next_;
    next_ += size;
    left_ -= size;
    return taken;
  }

  uint32_t number(size_t size) {
    const uint8_t* bytes = take(size);
    uint32_t value = 0;
    for (size_t i = 0; bytes != nullptr && i < size; i++) value |= uint32_t{bytes[i]} << (8 * i);
    return value;
  }

  const uint8_t* next_;
  size_t left_;
};

bool isLowerOrDigit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

/** Letters and digits only, so that no name is a path, an option or `all` and `default` of /proc/sys/net. */
bool isDeviceName(const std::string& name) {
  if (name.empty() || name.size() > kMaxName || name[0] < 'a' || name[0] > 'z') return false;
  for (const char c : name)
    if (!isLowerOrDigit(c)) return false;
  return name != "all" && name != "default" && name != "lo";
}

/** Labels of letters, digits, `-` and `_` (RFC 1123 §2.1, as used), none beginning with `-`; no dot at the end. */
bool isDomain(const std::string& name) {
  if (name.empty() || name.size() > 253) return false;
  size_t label = 0;
  for (const char c : name) {
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
      continue;
    }
    if (!isLowerOrDigit(c) && c != '_' && (c != '-' || label == 0)) return false;
    if (++label > 63) return false;
  }
  return label > 0;
}

Open readOpen(Fields& fields) {
  Open open;
  open.name = fields.text();
  open.mtu = fields.u16();
  open.vnetHeader = fields.flag();
  open.addresses.resize(fields.count(fields.u8(), kMaxDeviceAddresses));
  for (Network& each : open.addresses) each = fields.hostInNetwork();
  if (!isDeviceName(open.name)) fields.fail("it is no name for a device");
  if (open.mtu < kMinMtu) fields.fail("the MTU is below 1280");
  if (open.addresses.empty()) fields.fail("the device has no address");
  return open;
}

Capture readCapture(Fields& fields) {
  Capture capture;
  capture.killSwitch = fields.flag();
  capture.captured = fields.networks();
  capture.excluded = fields.networks();
  return capture;
}

Dns readDns(Fields& fields) {
  Dns dns;
  dns.on = fields.flag();
  dns.servers.resize(fields.count(fields.u8(), kMaxServers));
  for (Address& each : dns.servers) each = fields.address();
  dns.domains.resize(fields.count(fields.u8(), kMaxDomains));
  for (std::string& each : dns.domains) {
    each = fields.text();
    if (!isDomain(each)) fields.fail("it is no domain");
  }
  if (dns.on == dns.servers.empty()) fields.fail("servers belong to a DNS that is on, and only there");
  if (!dns.on && !dns.domains.empty()) fields.fail("there are domains for a DNS that is off");
  return dns;
}

Sockets readSockets(Fields& fields) {
  Sockets sockets;
  sockets.family = fields.family();
  sockets.datagram = fields.flag();
  sockets.count = static_cast<uint8_t>(fields.count(fields.u8(), kMaxSockets));
  if (sockets.count == 0) fields.fail("no sockets are asked for");
  return sockets;
}

Verb readVerb(uint8_t number, Fields& fields) {
  switch (number) {
    case 1:
      return Hello{fields.u16()};
    case 2:
      return readOpen(fields);
    case 3:
      return readCapture(fields);
    case 4:
      return readDns(fields);
    case 5:
      return readSockets(fields);
    case 6:
      return Release{fields.flag()};
    case 7:
      return Status{};
    default:
      fields.fail("the verb is unknown");
      return {};
  }
}

}  // namespace

bool Address::operator==(const Address& other) const {
  return family == other.family && std::memcmp(bytes, other.bytes, size()) == 0;
}

size_t frameLength(const uint8_t* lengthBytes) {
  const size_t length = Fields(lengthBytes, kLengthBytes).u32();
  return length > kMaxFrame ? 0 : length;
}

const char* parseRequest(const uint8_t* frame, size_t size, Request& request) {
  Fields fields(frame, size);
  request.number = fields.u8();
  request.id = fields.u32();
  request.verb = readVerb(request.number, fields);
  fields.end();
  return fields.wrong;
}

Answer::Answer(const Request& request) : bytes_(kLengthBytes) {
  u8(static_cast<uint8_t>(request.number | 0x80)).u32(request.id).u8(0);
}

Answer::Answer(const Request& request, Refusal code, int error, const std::string& sentence)
    : bytes_(kLengthBytes) {
  u8(static_cast<uint8_t>(request.number | 0x80)).u32(request.id).u8(static_cast<uint8_t>(code));
  u32(static_cast<uint32_t>(error)).text(sentence);
}

Answer& Answer::u8(uint8_t value) {
  bytes_.push_back(value);
  return *this;
}

Answer& Answer::u16(uint16_t value) {
  return u8(static_cast<uint8_t>(value & 0xff)).u8(static_cast<uint8_t>(value >> 8));
}

Answer& Answer::u32(uint32_t value) {
  return u16(static_cast<uint16_t>(value & 0xffff)).u16(static_cast<uint16_t>(value >> 16));
}

Answer& Answer::text(const std::string& value) {
  const size_t size = value.size() > 255 ? 255 : value.size();
  u8(static_cast<uint8_t>(size));
  bytes_.insert(bytes_.end(), value.begin(), value.begin() + static_cast<std::ptrdiff_t>(size));
  return *this;
}

const std::vector<uint8_t>& Answer::frame() {
  const size_t length = bytes_.size() - kLengthBytes;
  for (size_t i = 0; i < kLengthBytes; i++) bytes_[i] = static_cast<uint8_t>(length >> (8 * i));
  return bytes_;
}

std::string textOf(const Address& address) {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(address.family == 4 ? AF_INET : AF_INET6, address.bytes, text, sizeof text);
  return text;
}

}  // namespace sockeye
