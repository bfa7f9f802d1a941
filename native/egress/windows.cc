// The way past the TUN device on Windows: with strong host sends, its default, a socket that is bound to an interface's address
// uses that interface's routes alone. So all that is asked of us is the address. Compiled with MinGW-w64; not yet run.
#include <winsock2.h>
#include <windows.h>
#include <ws2ipdef.h>
#include <ws2tcpip.h>
#include <iphlpapi.h>
#include <netioapi.h>

#include <napi.h>

namespace {

/** @returns the best default route, or one with interface 0. Those of the TUN device are two halves each, and so no default route. */
MIB_IPFORWARD_ROW2 defaultRoute(ADDRESS_FAMILY family) {
  MIB_IPFORWARD_ROW2 best{};
  ULONG bestMetric = 0;
  MIB_IPFORWARD_TABLE2* table = nullptr;
  if (GetIpForwardTable2(family, &table) != NO_ERROR) return best;
  for (ULONG i = 0; i < table->NumEntries; i++) {
    const MIB_IPFORWARD_ROW2& row = table->Table[i];
    if (row.DestinationPrefix.PrefixLength != 0) continue;
    MIB_IPINTERFACE_ROW interfaceRow;
    InitializeIpInterfaceEntry(&interfaceRow);
    interfaceRow.Family = family;
    interfaceRow.InterfaceLuid = row.InterfaceLuid;
    if (GetIpInterfaceEntry(&interfaceRow) != NO_ERROR || !interfaceRow.Connected) continue;
    const ULONG metric = row.Metric + interfaceRow.Metric;
    if (best.InterfaceIndex != 0 && metric >= bestMetric) continue;
    best = row;
    bestMetric = metric;
  }
  FreeMibTable(table);
  return best;
}

/** (family): this machine's own address for connections by the default route; undefined where there is none. */
Napi::Value defaultAddress(const Napi::CallbackInfo& info) {
  const ADDRESS_FAMILY family = info[0].As<Napi::Number>().Int32Value() == 4 ? AF_INET : AF_INET6;
  MIB_IPFORWARD_ROW2 route = defaultRoute(family);
  if (route.InterfaceIndex == 0) return info.Env().Undefined();
  // Some address that only a default route leads to (RFC 5737, RFC 3849).
  SOCKADDR_INET target{};
  target.si_family = family;
  inet_pton(family, family == AF_INET ? "192.0.2.1" : "2001:db8::1",
            family == AF_INET ? static_cast<void*>(&target.Ipv4.sin_addr) : static_cast<void*>(&target.Ipv6.sin6_addr));
  MIB_IPFORWARD_ROW2 found{};
  SOCKADDR_INET source{};
  if (GetBestRoute2(&route.InterfaceLuid, 0, nullptr, &target, 0, &found, &source) != NO_ERROR)
    return info.Env().Undefined();
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(family,
            family == AF_INET ? static_cast<void*>(&source.Ipv4.sin_addr) : static_cast<void*>(&source.Ipv6.sin6_addr),
            text, sizeof text);
  return Napi::String::New(info.Env(), text);
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  exports.Set("defaultAddress", Napi::Function::New<defaultAddress>(env));
  return exports;
}

NODE_API_MODULE(egress, initialize)

}  // namespace
