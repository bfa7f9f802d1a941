#include "socket.h"

#include <netinet/udp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

namespace sockeye {

namespace {

/** Datagrams for one system call. */
constexpr size_t kCall = 64;
/** Datagrams that the kernel cuts out of one buffer (UDP_MAX_SEGMENTS of the kernels that have the fewest), and their bytes. */
constexpr size_t kJoined = 64;
constexpr size_t kJoinedBytes = 65'000;
/** Bytes that wait for room in one socket; what is more is dropped. */
constexpr size_t kMaxKept = 1 << 20;

/** Whether this kernel knows how to (Linux 4.18): one that does not would send the whole as one datagram. */
bool kernelCuts(int descriptor) {
  int size = 0;
  socklen_t length = sizeof size;
  return ::getsockopt(descriptor, SOL_UDP, UDP_SEGMENT, &size, &length) == 0;
}

}  // namespace

UdpSocket::UdpSocket(int descriptor) : descriptor_(descriptor), cuts_(kernelCuts(descriptor)) {}

bool Address::operator==(const Address& other) const {
  return length == other.length && std::memcmp(&bytes, &other.bytes, length) == 0;
}

UdpSocket::~UdpSocket() { ::close(descriptor_); }

bool UdpSocket::connect(const Address& peer) { return ::connect(descriptor_, peer.pointer(), peer.length) == 0; }

int UdpSocket::receive(mmsghdr* messages, size_t count) {
  int got;
  do {
    got = ::recvmmsg(descriptor_, messages, static_cast<unsigned>(count), MSG_DONTWAIT, nullptr);
  } while (got < 0 && errno == EINTR);
  if (got >= 0) return got;
  return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
}

void UdpSocket::flush() {
  size_t at = 0;
  bool full = hasKept();
  while (at < batch_.size() && !full) {
    const size_t joined = sendJoined(at);
    at += joined > 0 ? joined : sendSome(batch_.data() + at, batch_.size() - at, full);
  }
  for (; at < batch_.size(); at++) keep(batch_[at]);
  batch_.clear();
}

bool UdpSocket::sendKept() {
  bool full = false;
  while (hasKept() && !full) {
    const Kept& first = kept_.front();
    const Datagram datagram{first.bytes.data(), first.bytes.size(), first.to};
    if (sendSome(&datagram, 1, full) == 0) break;
    keptBytes_ -= first.bytes.size();
    kept_.pop_front();
  }
  return !hasKept();
}

/**
 * Sends datagrams of one length, of which the last may be shorter, to one address as one buffer that the kernel cuts.
 * @returns how many were sent; 0 where that can't be done.
 */
size_t UdpSocket::sendJoined(size_t from) {
  if (!cuts_) return 0;
  const Datagram& first = batch_[from];
  iovec parts[kJoined];
  size_t count = 0;
  size_t bytes = 0;
  for (size_t i = from; i < batch_.size() && count < kJoined; i++) {
    const Datagram& next = batch_[i];
    if (next.length > first.length || next.length == 0 || bytes + next.length > kJoinedBytes) break;
    if (!(next.to == first.to)) break;
    parts[count++] = {const_cast<uint8_t*>(next.bytes), next.length};
    bytes += next.length;
    if (next.length < first.length) break;
  }
  if (count < 2) return 0;

  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(uint16_t))] = {};
  msghdr message{};
  if (first.to.length > 0) {
    message.msg_name = const_cast<sockaddr*>(first.to.pointer());
    message.msg_namelen = first.to.length;
  }
  message.msg_iov = parts;
  message.msg_iovlen = count;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_UDP;
  head->cmsg_type = UDP_SEGMENT;
  head->cmsg_len = CMSG_LEN(sizeof(uint16_t));
  const auto segment = static_cast<uint16_t>(first.length);
  std::memcpy(CMSG_DATA(head), &segment, sizeof segment);
  ssize_t sent;
  do {
    sent = ::sendmsg(descriptor_, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0) return count;
  // No cutting on this way (EIO), or not at this length (EINVAL, EMSGSIZE): each goes by itself then, as it does now for what is
  // no matter of cutting, such as a queue that is full or the word of an earlier datagram that did not arrive.
  if (errno == EIO || errno == EOPNOTSUPP || errno == EINVAL || errno == EMSGSIZE) cuts_ = false;
  return 0;
}

/**
 * Sends datagrams until the system's queue is full. One that is refused is lost, and so is the word of an earlier one that did not
 * arrive, which the system says in its place: it is tried again.
 * @returns how many are done with.
 */
size_t UdpSocket::sendSome(const Datagram* datagrams, size_t count, bool& full) {
  mmsghdr messages[kCall];
  iovec parts[kCall];
  const size_t some = std::min(count, kCall);
  for (size_t i = 0; i < some; i++) {
    const Datagram& datagram = datagrams[i];
    parts[i] = {const_cast<uint8_t*>(datagram.bytes), datagram.length};
    messages[i] = {};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
    if (datagram.to.length == 0) continue;
    messages[i].msg_hdr.msg_name = const_cast<sockaddr*>(datagram.to.pointer());
    messages[i].msg_hdr.msg_namelen = datagram.to.length;
  }
  size_t at = 0;
  bool again = false;
  while (at < some) {
    const int sent =
        ::sendmmsg(descriptor_, messages + at, static_cast<unsigned>(some - at), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) {
      at += static_cast<size_t>(sent);
      again = false;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      full = true;
      break;
    } else if (errno != EINTR) {
      if (again) at++;
      again = !again;
    }
  }
  return at;
}

void UdpSocket::keep(const Datagram& datagram) {
  if (keptBytes_ + datagram.length > kMaxKept) return;
  kept_.push_back({{datagram.bytes, datagram.bytes + datagram.length}, datagram.to});
  keptBytes_ += datagram.length;
}

}  // namespace sockeye
