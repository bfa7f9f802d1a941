// One UDP socket of Linux, of which many datagrams are taken, and to which many are given, with one system call.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

namespace sockeye {

/** A socket address of either family, as the kernel has it. */
struct Address {
  sockaddr_in6 bytes{};
  socklen_t length = 0;

  sockaddr* pointer() { return reinterpret_cast<sockaddr*>(&bytes); }
  const sockaddr* pointer() const { return reinterpret_cast<const sockaddr*>(&bytes); }
  bool operator==(const Address& other) const;
};

/** A datagram to be sent; without an address (of length 0) it goes to whom the socket is connected to. */
struct Datagram {
  const uint8_t* bytes = nullptr;
  size_t length = 0;
  Address to;
};

class UdpSocket {
 public:
  /** Takes the descriptor over. */
  explicit UdpSocket(int descriptor);
  ~UdpSocket();
  UdpSocket(const UdpSocket&) = delete;
  UdpSocket& operator=(const UdpSocket&) = delete;

  int descriptor() const { return descriptor_; }

  /** Datagrams come from this address alone from then on, and go to it. @returns whether the system agreed. */
  bool connect(const Address& peer);

  /**
   * Takes what has come, without waiting.
   * @param messages with room for `count` datagrams and their sources; lengths are filled in.
   * @returns how many there were; a negative error number for what the system says of the socket, which it says once.
   */
  int receive(mmsghdr* messages, size_t count);

  /** Puts a datagram, whose bytes stay where they are until then, behind those that flush() sends. */
  void add(const Datagram& datagram) { batch_.push_back(datagram); }
  bool hasBatch() const { return !batch_.empty(); }
  /** Sends, keeps for later where the system's queue is full, and drops where that is too much or where it refuses. */
  void flush();

  /** Sends what was kept. @returns whether nothing is left of it. */
  bool sendKept();
  bool hasKept() const { return !kept_.empty(); }

  /** Whom the datagram before came from. */
  Address lastSource;
  /** The poller was asked to tell when there is room. */
  bool waitsForRoom = false;

 private:
  struct Kept {
    std::vector<uint8_t> bytes;
    Address to;
  };

  size_t sendJoined(size_t from);
  size_t sendSome(const Datagram* datagrams, size_t count, bool& full);
  void keep(const Datagram& datagram);

  const int descriptor_;
  std::vector<Datagram> batch_;
  std::deque<Kept> kept_;
  size_t keptBytes_ = 0;
  /** Whether the kernel cuts a long buffer into datagrams (UDP_SEGMENT), here. */
  bool cuts_;
};

}  // namespace sockeye
