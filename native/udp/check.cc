// Random batches through real sockets, against what they were, under the sanitizers (test/system/udp-native.test.ts). A pair of
// Unix sockets stands for a network that is slow to take what it is given: UDP on loopback always has room.
#include <arpa/inet.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <random>

#include "socket.h"

using namespace sockeye;

namespace {

using Bytes = std::vector<uint8_t>;

constexpr size_t kMessages = 8;
constexpr size_t kRoom = 65'536;
constexpr size_t kLengths[] = {0, 1, 2, 64, 64, 64, 1200, 1200, 1452, 9000};

std::mt19937 randomness(20'261'122);

size_t below(size_t limit) { return randomness() % limit; }

void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "%s\n", what);
  std::exit(1);
}

Address loopback(uint16_t port) {
  Address address;
  auto* ipv4 = reinterpret_cast<sockaddr_in*>(&address.bytes);
  ipv4->sin_family = AF_INET;
  ipv4->sin_port = port;
  ipv4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.length = sizeof *ipv4;
  return address;
}

int udpSocket(Address& address) {
  const int descriptor = ::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  const int room = 4 << 20;
  ::setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  address = loopback(0);
  expect(::bind(descriptor, address.pointer(), address.length) == 0, "bind");
  ::getsockname(descriptor, address.pointer(), &address.length);
  return descriptor;
}

/** Lengths in runs, as applications have them, so that some can be joined. */
std::vector<Bytes> someDatagrams(size_t most) {
  std::vector<Bytes> all;
  while (all.size() < most && below(12) != 0) {
    const size_t length = kLengths[below(sizeof kLengths / sizeof *kLengths)];
    for (size_t times = 1 + below(6); times > 0 && all.size() < most; times--) {
      Bytes bytes(length);
      for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(randomness());
      all.push_back(bytes);
    }
  }
  return all;
}

/** All that is there now, as receive() hands it over. */
std::vector<Bytes> receiveAll(UdpSocket& socket) {
  static uint8_t bytes[kMessages][kRoom];
  std::vector<Bytes> all;
  for (int got = 1; got > 0;) {
    mmsghdr messages[kMessages] = {};
    iovec parts[kMessages];
    for (size_t i = 0; i < kMessages; i++) {
      parts[i] = {bytes[i], kRoom};
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    got = socket.receive(messages, kMessages);
    for (int i = 0; i < got; i++) all.emplace_back(bytes[i], bytes[i] + messages[i].msg_len);
  }
  return all;
}

/** To two receivers in turns, connected to one of them or not: each gets its own, whole and in order. */
void checkOrder(bool connected) {
  Address at[2], own;
  UdpSocket receivers[2] = {UdpSocket(udpSocket(at[0])), UdpSocket(udpSocket(at[1]))};
  UdpSocket sender(udpSocket(own));
  if (connected) expect(sender.connect(at[0]), "connect");
  const std::vector<Bytes> datagrams = someDatagrams(100);
  std::vector<Bytes> expected[2];
  for (const Bytes& bytes : datagrams) {
    const size_t to = connected || below(4) != 0 ? 0 : 1;
    sender.add({bytes.data(), bytes.size(), connected ? Address{} : at[to]});
    expected[to].push_back(bytes);
    if (below(20) == 0) sender.flush();
  }
  sender.flush();
  expect(!sender.hasKept() && !sender.hasBatch(), "something was held back");
  for (size_t i = 0; i < 2; i++) expect(receiveAll(receivers[i]) == expected[i], "not what was sent");
}

/** Nobody takes what is sent until later: it is kept, in order, up to a cap. */
void checkKept(size_t length, size_t count) {
  int ends[2];
  expect(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends) == 0, "socketpair");
  const int room = 16'384;
  ::setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  UdpSocket sender(ends[0]), receiver(ends[1]);
  std::vector<Bytes> expected;
  for (size_t i = 0; i < count; i++) {
    expected.emplace_back(length, static_cast<uint8_t>(i));
    sender.add({expected.back().data(), length, {}});
    // Bytes may go once they were flushed.
    if (below(10) == 0) sender.flush();
    if (below(10) == 0) sender.sendKept();
  }
  sender.flush();
  expect(sender.hasKept(), "nothing was kept");
  std::vector<Bytes> got;
  for (bool done = false; !done;) {
    const std::vector<Bytes> some = receiveAll(receiver);
    expect(!some.empty(), "kept, and not sent when there was room");
    got.insert(got.end(), some.begin(), some.end());
    done = sender.sendKept();
  }
  for (const Bytes& bytes : receiveAll(receiver)) got.push_back(bytes);
  const size_t cap = 1 << 20;
  if (length * count <= cap) {
    expect(got == expected, "not all that was kept arrived");
    return;
  }
  expect(got.size() * length >= cap / 2 && got.size() * length < 2 * cap, "the cap was not kept");
  size_t at = 0;
  for (const Bytes& bytes : got) {
    while (at < expected.size() && expected[at] != bytes) at++;
    expect(at < expected.size(), "out of order");
  }
}

/** The word that nobody listens costs no other datagram. */
void checkRefused() {
  Address at, own;
  UdpSocket sender(udpSocket(own));
  {
    UdpSocket gone(udpSocket(at));
    expect(sender.connect(at), "connect");
  }
  const uint8_t byte = 7;
  sender.add({&byte, 1, {}});
  sender.flush();
  const int descriptor = ::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  expect(::bind(descriptor, at.pointer(), at.length) == 0, "bind again");
  UdpSocket again(descriptor);
  for (int i = 0; i < 3; i++) sender.add({&byte, 1, {}});
  sender.flush();
  expect(receiveAll(again).size() == 3, "datagrams were lost to an earlier one's refusal");
}

}  // namespace

int main() {
  for (int i = 0; i < 300; i++) checkOrder(i % 2 == 0);
  for (int i = 0; i < 30; i++) checkKept(1 + below(2000), 100 + below(200));
  checkKept(9000, 300);
  for (int i = 0; i < 10; i++) checkRefused();
  return 0;
}
