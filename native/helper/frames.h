// What an engine can ask of the helper, as bytes: a closed list of verbs, each with fields of fixed meaning. Nothing here
// does any I/O, and nothing a client sends is a path, a command or an argument.
//
// A frame is a u32 length of what follows, then u8 verb, u32 request id, fields. Numbers are little-endian. A text is a u8
// length and its bytes. An address is u8 family (4 or 6) and its 4 or 16 bytes; a network is an address and u8 prefix length.
//
//   1 hello    u16 protocol version                          answer: u16 version, text build
//   2 open     text name, u16 MTU, u8 virtio header wanted,  answer: text name, u32 index, u16 MTU, u8 virtio header,
//              u8 n, n networks (address and its prefix)             and the device's descriptor (none on Windows)
//   3 capture  u8 kill switch, u16 n, n networks captured,   answer: nothing
//              u16 m, m networks excluded
//   4 dns      u8 on, u8 n, n addresses of servers,          answer: u8 how (a DnsWay)
//              u8 m, m texts: domains
//   5 sockets  u8 family, u8 datagram, u8 count              answer: u8 count, and as many descriptors (Linux only)
//   6 release  u8 keep the kill switch                       answer: u8 n, n texts: what could not be undone
//   7 status   nothing                                       answer: text device, u32 index, u16 captured, u16 excluded,
//                                                                    u8 kill switch, u8 DnsWay
//
// An answer has the verb's number with 0x80 added, the request's id, and u8 0 and the fields above; or u8 code (a Refusal),
// u32 errno or 0, and a text for people. A refusal that no request asked for has verb 0x80 and id 0.
#ifndef SOCKEYE_FRAMES_H
#define SOCKEYE_FRAMES_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace sockeye {

constexpr uint16_t kProtocolVersion = 1;
constexpr size_t kLengthBytes = 4;
/** Verb, request id and fields. */
constexpr size_t kMaxFrame = 64 * 1024;
constexpr size_t kMaxNetworks = 1024;
constexpr size_t kMaxDeviceAddresses = 4;
constexpr size_t kMaxServers = 4;
constexpr size_t kMaxDomains = 64;
constexpr size_t kMaxSockets = 64;
/** A device's name with its terminating zero is 16 bytes (IFNAMSIZ); room for a number behind the one asked for. */
constexpr size_t kMaxName = 11;
/** Every link that carries IPv6 carries packets of this size (RFC 8200 §5). */
constexpr uint16_t kMinMtu = 1280;

struct Address {
  uint8_t family = 4;
  uint8_t bytes[16] = {};

  size_t size() const { return family == 4 ? 4 : 16; }
  bool operator==(const Address& other) const;
};

struct Network {
  Address address;
  uint8_t prefix = 0;

  bool operator==(const Network& other) const { return prefix == other.prefix && address == other.address; }
};

/** `system`: macOS' dynamic store, or Windows' name resolution policy. */
enum class DnsWay : uint8_t { none = 0, resolved = 1, file = 2, system = 3 };

struct Hello {
  uint16_t version = 0;
};
struct Open {
  std::string name;
  uint16_t mtu = 0;
  bool vnetHeader = false;
  std::vector<Network> addresses;
};
struct Capture {
  bool killSwitch = false;
  std::vector<Network> captured;
  std::vector<Network> excluded;
};
struct Dns {
  bool on = false;
  std::vector<Address> servers;
  std::vector<std::string> domains;
};
struct Sockets {
  uint8_t family = 4;
  bool datagram = false;
  uint8_t count = 0;
};
struct Release {
  bool keepKillSwitch = false;
};
struct Status {};

/** In the order of their numbers on the wire, from 1. */
using Verb = std::variant<std::monostate, Hello, Open, Capture, Dns, Sockets, Release, Status>;

struct Request {
  uint8_t number = 0;
  uint32_t id = 0;
  Verb verb;
};

enum class Refusal : uint8_t { malformed = 1, version = 2, busy = 3, forbidden = 4, state = 5, system = 6, unsupported = 7 };

/** The length that a frame's first four bytes announce; 0 for one that is refused: empty, or above kMaxFrame. */
size_t frameLength(const uint8_t* lengthBytes);

/** Reads one frame (without its length). @returns nullptr, or in a few words what is wrong with it. */
const char* parseRequest(const uint8_t* frame, size_t size, Request& request);

/** An answer under construction. */
class Answer {
 public:
  /** A granted request's; fields follow. */
  explicit Answer(const Request& request);
  /** A refusal; it is complete. */
  Answer(const Request& request, Refusal code, int error, const std::string& sentence);

  Answer& u8(uint8_t value);
  Answer& u16(uint16_t value);
  Answer& u32(uint32_t value);
  /** Cut at 255 bytes. */
  Answer& text(const std::string& value);
  /** The whole frame with its length. */
  const std::vector<uint8_t>& frame();

 private:
  std::vector<uint8_t> bytes_;
};

/** `10.0.0.0`, `fd00::1`. */
std::string textOf(const Address& address);

}  // namespace sockeye

#endif
