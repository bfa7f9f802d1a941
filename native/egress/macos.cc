// The way past the TUN device on macOS: sockets bound to an interface (IP_BOUND_IF) pass the routing table by.
// Written against Apple's headers; not yet run.
#include <napi.h>

#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/sysctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

extern "C" const char* uv_err_name(int error);

namespace {

Napi::Error systemError(Napi::Env env, const char* call, int error) {
  Napi::Error thrown = Napi::Error::New(env, std::string(call) + ": " + std::strerror(error));
  thrown.Set("code", Napi::String::New(env, uv_err_name(-error)));
  return thrown;
}

/** Whether a routing message's destination is 0.0.0.0 or ::, and its mask, the third address, is empty. */
bool isDefault(const rt_msghdr& head, const uint8_t* at, const uint8_t* end) {
  if ((head.rtm_addrs & (RTA_DST | RTA_NETMASK)) != (RTA_DST | RTA_NETMASK)) return false;
  for (int i = 0; i <= RTAX_NETMASK; i++) {
    if ((head.rtm_addrs & (1 << i)) == 0) continue;
    if (at >= end || at + at[0] > end) return false;
    if (i != RTAX_GATEWAY)
      for (size_t byte = 4; byte < at[0]; byte++)
        if (at[byte] != 0) return false;
    at += at[0] == 0 ? size_t{4} : (size_t{at[0]} + 3) & ~size_t{3};
  }
  return true;
}

/** (family): the number of the default route's interface; 0 where there is none. */
Napi::Value defaultInterface(const Napi::CallbackInfo& info) {
  const int family = info[0].As<Napi::Number>().Int32Value() == 4 ? AF_INET : AF_INET6;
  int path[] = {CTL_NET, PF_ROUTE, 0, family, NET_RT_DUMP, 0};
  size_t size = 0;
  if (sysctl(path, 6, nullptr, &size, nullptr, 0) != 0) throw systemError(info.Env(), "sysctl", errno);
  std::vector<uint8_t> table(size + size / 4 + 4096);
  size = table.size();
  if (sysctl(path, 6, table.data(), &size, nullptr, 0) != 0) throw systemError(info.Env(), "sysctl", errno);
  for (size_t at = 0; at + sizeof(rt_msghdr) <= size;) {
    rt_msghdr head;
    std::memcpy(&head, table.data() + at, sizeof head);
    if (head.rtm_msglen < sizeof head || at + head.rtm_msglen > size) break;
    const uint8_t* addresses = table.data() + at + sizeof head;
    // Scoped routes are those of other interfaces, for sockets that are bound to them.
    if ((head.rtm_flags & (RTF_UP | RTF_HOST | RTF_IFSCOPE)) == RTF_UP &&
        isDefault(head, addresses, table.data() + at + head.rtm_msglen))
      return Napi::Number::New(info.Env(), head.rtm_index);
    at += head.rtm_msglen;
  }
  return Napi::Number::New(info.Env(), 0);
}

/** (name): an interface's number; 0 where there is none. */
Napi::Value interfaceNumber(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), if_nametoindex(info[0].As<Napi::String>().Utf8Value().c_str()));
}

/** (family, datagram, interface): an unconnected socket; one for datagrams has a port. */
Napi::Value boundSocket(const Napi::CallbackInfo& info) {
  const bool isIp4 = info[0].As<Napi::Number>().Int32Value() == 4;
  const bool datagram = info[1].As<Napi::Boolean>().Value();
  const uint32_t interface = info[2].As<Napi::Number>().Uint32Value();
  const int domain = isIp4 ? AF_INET : AF_INET6;
  const int descriptor = socket(domain, datagram ? SOCK_DGRAM : SOCK_STREAM, 0);
  if (descriptor < 0) throw systemError(info.Env(), "socket", errno);
  fcntl(descriptor, F_SETFD, FD_CLOEXEC);
  fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
  const int on = 1;
  bool done = isIp4 ? setsockopt(descriptor, IPPROTO_IP, IP_BOUND_IF, &interface, sizeof interface) == 0
                    : setsockopt(descriptor, IPPROTO_IPV6, IPV6_BOUND_IF, &interface, sizeof interface) == 0 &&
                          setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0;
  if (done && datagram) {
    sockaddr_in any4{};
    any4.sin_len = sizeof any4;
    any4.sin_family = AF_INET;
    sockaddr_in6 any6{};
    any6.sin6_len = sizeof any6;
    any6.sin6_family = AF_INET6;
    done = isIp4 ? bind(descriptor, reinterpret_cast<const sockaddr*>(&any4), sizeof any4) == 0
                 : bind(descriptor, reinterpret_cast<const sockaddr*>(&any6), sizeof any6) == 0;
  }
  if (!done) {
    const int error = errno;
    close(descriptor);
    throw systemError(info.Env(), "binding a socket to an interface", error);
  }
  return Napi::Number::New(info.Env(), descriptor);
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  exports.Set("defaultInterface", Napi::Function::New<defaultInterface>(env));
  exports.Set("interfaceNumber", Napi::Function::New<interfaceNumber>(env));
  exports.Set("boundSocket", Napi::Function::New<boundSocket>(env));
  return exports;
}

NODE_API_MODULE(egress, initialize)

}  // namespace
