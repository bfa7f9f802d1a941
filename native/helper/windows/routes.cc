#include "routes.h"

#include <algorithm>
#include <cstring>
#include <functional>

namespace sockeye {
namespace {

constexpr wchar_t kJournalKey[] = L"SOFTWARE\\Sockeye\\Helper";
constexpr wchar_t kJournalValue[] = L"Excluded";
/** An adapter's IP interfaces appear some time after it. */
constexpr int kAttempts = 100;
constexpr DWORD kAttemptMs = 50;

/** A route, with nothing in it but what tells it from others; it is written to the journal as it is. */
struct Route {
  uint64_t adapter = 0;
  uint8_t family = 4;
  uint8_t prefix = 0;
  uint8_t network[16] = {};
  uint8_t nextHop[16] = {};
  uint8_t unused[6] = {};

  bool operator==(const Route& other) const { return std::memcmp(this, &other, sizeof other) == 0; }
};
static_assert(sizeof(Route) == 48, "no padding, whose bytes would not compare");

using Routes = std::vector<Route>;

bool contains(const Routes& list, const Route& route) { return std::find(list.begin(), list.end(), route) != list.end(); }

std::string failure(const std::string& what, DWORD error) { return what + ": Windows error " + std::to_string(error); }

std::string textOf(const Route& route) {
  Address address;
  address.family = route.family;
  std::memcpy(address.bytes, route.network, 16);
  return textOf(address) + "/" + std::to_string(route.prefix);
}

size_t addressSize(uint8_t family) { return family == 4 ? 4 : 16; }

void put(SOCKADDR_INET& to, uint8_t family, const uint8_t* bytes) {
  to.si_family = family == 4 ? AF_INET : AF_INET6;
  void* address = family == 4 ? static_cast<void*>(&to.Ipv4.sin_addr) : static_cast<void*>(&to.Ipv6.sin6_addr);
  std::memcpy(address, bytes, addressSize(family));
}

void take(uint8_t* bytes, const SOCKADDR_INET& from) {
  if (from.si_family == AF_INET) std::memcpy(bytes, &from.Ipv4.sin_addr, 4);
  if (from.si_family == AF_INET6) std::memcpy(bytes, &from.Ipv6.sin6_addr, 16);
}

MIB_IPFORWARD_ROW2 rowOf(const Route& route) {
  MIB_IPFORWARD_ROW2 row;
  InitializeIpForwardEntry(&row);
  row.InterfaceLuid.Value = route.adapter;
  put(row.DestinationPrefix.Prefix, route.family, route.network);
  row.DestinationPrefix.PrefixLength = route.prefix;
  put(row.NextHop, route.family, route.nextHop);
  row.Metric = 0;
  row.Protocol = RouteProtocolNetMgmt;
  return row;
}

Route routeOf(const MIB_IPFORWARD_ROW2& row) {
  Route route;
  route.adapter = row.InterfaceLuid.Value;
  route.family = row.DestinationPrefix.Prefix.si_family == AF_INET ? 4 : 6;
  route.prefix = row.DestinationPrefix.PrefixLength;
  take(route.network, row.DestinationPrefix.Prefix);
  take(route.nextHop, row.NextHop);
  return route;
}

struct Entry {
  Route route;
  ULONG metric = 0;
  bool madeBySettings = false;
};

DWORD readTable(std::vector<Entry>& entries) {
  entries.clear();
  MIB_IPFORWARD_TABLE2* table = nullptr;
  const DWORD error = GetIpForwardTable2(AF_UNSPEC, &table);
  if (error != NO_ERROR) return error;
  for (ULONG i = 0; i < table->NumEntries; i++) {
    const MIB_IPFORWARD_ROW2& row = table->Table[i];
    entries.push_back({routeOf(row), row.Metric, row.Protocol == RouteProtocolNetMgmt});
  }
  FreeMibTable(table);
  return NO_ERROR;
}

bool has(const std::vector<Entry>& entries, const Route& route) {
  return std::any_of(entries.begin(), entries.end(), [&](const Entry& entry) { return entry.route == route; });
}

bool covers(const Route& wide, const Route& narrow) {
  if (wide.family != narrow.family || wide.prefix > narrow.prefix) return false;
  for (size_t bit = 0; bit < wide.prefix; bit++)
    if (((wide.network[bit / 8] ^ narrow.network[bit / 8]) >> (7 - bit % 8)) & 1) return false;
  return true;
}

/** What an interface adds to its routes' metrics; false for one that is not connected. */
bool interfaceMetric(const Route& route, ULONG& metric) {
  MIB_IPINTERFACE_ROW row;
  InitializeIpInterfaceEntry(&row);
  row.Family = route.family == 4 ? AF_INET : AF_INET6;
  row.InterfaceLuid.Value = route.adapter;
  if (GetIpInterfaceEntry(&row) != NO_ERROR || !row.Connected) return false;
  metric = row.Metric;
  return true;
}

/** The way to a network without us: the longest prefix, and of those the smallest metric. @returns null where there is none. */
const Route* wayPast(const std::vector<Entry>& entries, const Routes& ours, const Route& network, NET_LUID adapter) {
  const Route* best = nullptr;
  ULONG bestMetric = 0;
  for (const Entry& entry : entries) {
    ULONG metric = 0;
    if (entry.route.adapter == adapter.Value || contains(ours, entry.route) || !covers(entry.route, network) ||
        (best != nullptr && entry.route.prefix < best->prefix) || !interfaceMetric(entry.route, metric))
      continue;
    metric += entry.metric;
    if (best != nullptr && entry.route.prefix == best->prefix && metric >= bestMetric) continue;
    best = &entry.route;
    bestMetric = metric;
  }
  return best;
}

Route routeFor(const Network& network, uint64_t adapter) {
  Route route;
  route.adapter = adapter;
  route.family = network.address.family;
  route.prefix = network.prefix;
  std::memcpy(route.network, network.address.bytes, network.address.size());
  return route;
}

Routes capturedRoutes(NET_LUID adapter, const Capture& capture) {
  Routes routes;
  for (const Network& network : capture.captured) {
    const bool isExcluded =
        std::find(capture.excluded.begin(), capture.excluded.end(), network) != capture.excluded.end();
    if (isExcluded) continue;
    Route route = routeFor(network, adapter.Value);
    if (route.prefix > 0) {
      if (!contains(routes, route)) routes.push_back(route);
      continue;
    }
    route.prefix = 1;
    for (const uint8_t half : {uint8_t{0}, uint8_t{0x80}}) {
      route.network[0] = half;
      if (!contains(routes, route)) routes.push_back(route);
    }
  }
  return routes;
}

Routes loadJournal() {
  Routes routes(2 * kMaxNetworks);
  DWORD size = static_cast<DWORD>(routes.size() * sizeof(Route));
  if (RegGetValueW(HKEY_LOCAL_MACHINE, kJournalKey, kJournalValue, RRF_RT_REG_BINARY, nullptr, routes.data(), &size) !=
      ERROR_SUCCESS)
    return {};
  routes.resize(size / sizeof(Route));
  return routes;
}

DWORD saveJournal(const Routes& routes) {
  HKEY key = nullptr;
  // A key's owner and rights are its parent's: below SOFTWARE only administrators write.
  LSTATUS error = RegCreateKeyExW(HKEY_LOCAL_MACHINE, kJournalKey, 0, nullptr, REG_OPTION_VOLATILE, KEY_SET_VALUE,
                                  nullptr, &key, nullptr);
  if (error != ERROR_SUCCESS) return static_cast<DWORD>(error);
  error = RegSetValueExW(key, kJournalValue, 0, REG_BINARY, reinterpret_cast<const BYTE*>(routes.data()),
                         static_cast<DWORD>(routes.size() * sizeof(Route)));
  RegCloseKey(key);
  return static_cast<DWORD>(error);
}

DWORD add(const Route& route) {
  MIB_IPFORWARD_ROW2 row = rowOf(route);
  return CreateIpForwardEntry2(&row);
}

/** Whether it worked is seen when all is read again. */
void remove(const Route& route) {
  MIB_IPFORWARD_ROW2 row = rowOf(route);
  DeleteIpForwardEntry2(&row);
}

std::string setUpFamily(NET_LUID adapter, ADDRESS_FAMILY family, uint16_t mtu) {
  MIB_IPINTERFACE_ROW row;
  DWORD error = NO_ERROR;
  for (int i = 0; i < kAttempts; i++) {
    InitializeIpInterfaceEntry(&row);
    row.Family = family;
    row.InterfaceLuid = adapter;
    error = GetIpInterfaceEntry(&row);
    if (error != ERROR_NOT_FOUND) break;
    Sleep(kAttemptMs);
  }
  if (error != NO_ERROR) return failure("looking the TUN device up", error);
  row.NlMtu = mtu;
  row.UseAutomaticMetric = FALSE;
  row.Metric = 0;
  row.RouterDiscoveryBehavior = RouterDiscoveryDisabled;
  row.ManagedAddressConfigurationSupported = FALSE;
  row.OtherStatefulConfigurationSupported = FALSE;
  row.DadTransmits = 0;
  // What was read is refused when it is written, for IPv4.
  if (family == AF_INET) row.SitePrefixLength = 0;
  error = SetIpInterfaceEntry(&row);
  return error == NO_ERROR ? "" : failure("setting the TUN device up", error);
}

}  // namespace

std::string setUp(NET_LUID adapter, uint16_t mtu, const std::vector<Network>& addresses) {
  for (const Network& address : addresses) {
    const uint8_t family = address.address.family;
    const std::string problem = setUpFamily(adapter, family == 4 ? AF_INET : AF_INET6, mtu);
    if (!problem.empty()) return problem;
    MIB_UNICASTIPADDRESS_ROW row;
    InitializeUnicastIpAddressEntry(&row);
    row.InterfaceLuid = adapter;
    put(row.Address, family, address.address.bytes);
    row.OnLinkPrefixLength = address.prefix;
    row.DadState = IpDadStatePreferred;
    const DWORD error = CreateUnicastIpAddressEntry(&row);
    if (error != NO_ERROR && error != ERROR_OBJECT_ALREADY_EXISTS)
      return failure("giving the TUN device its address", error);
  }
  return "";
}

std::string settle(NET_LUID adapter, const Capture& capture) {
  std::vector<Entry> table;
  if (const DWORD error = readTable(table)) return failure("reading the routes", error);
  const Routes journal = loadJournal();

  // Excluded ones come first, so that no packet of theirs is captured meanwhile.
  Routes excluded;
  for (const Network& network : capture.excluded) {
    Route route = routeFor(network, 0);
    const Route* way = wayPast(table, journal, route, adapter);
    if (way == nullptr) continue;
    route.adapter = way->adapter;
    std::memcpy(route.nextHop, way->nextHop, sizeof route.nextHop);
    // What is there already, and not by us, does it.
    if (!contains(excluded, route) && (contains(journal, route) || !has(table, route))) excluded.push_back(route);
  }
  Routes known = journal;
  for (const Route& route : excluded)
    if (!contains(known, route)) known.push_back(route);
  if (const DWORD error = saveJournal(known)) return failure("the journal", error);

  Routes wanted = excluded;
  const Routes captured = capturedRoutes(adapter, capture);
  wanted.insert(wanted.end(), captured.begin(), captured.end());
  for (const Route& route : wanted) {
    if (has(table, route)) continue;
    const DWORD error = add(route);
    if (error != NO_ERROR && error != ERROR_OBJECT_ALREADY_EXISTS)
      return failure("adding the route to " + textOf(route), error);
  }
  const auto isOurs = [&](const Entry& entry) {
    return contains(known, entry.route) || (entry.route.adapter == adapter.Value && entry.madeBySettings);
  };
  for (const Entry& entry : table)
    if (isOurs(entry) && !contains(wanted, entry.route)) remove(entry.route);

  if (const DWORD error = readTable(table)) return failure("reading the routes again", error);
  for (const Route& route : wanted)
    if (!has(table, route)) return "a route is missing: " + textOf(route);
  for (const Entry& entry : table)
    if (isOurs(entry) && !contains(wanted, entry.route)) return "a route could not be removed: " + textOf(entry.route);
  if (const DWORD error = saveJournal(excluded)) return failure("the journal", error);
  return "";
}

std::string removeRoutes() {
  const Routes journal = loadJournal();
  for (const Route& route : journal) remove(route);
  std::vector<Entry> table;
  if (const DWORD error = readTable(table)) return failure("reading the routes again", error);
  for (const Route& route : journal)
    if (has(table, route)) return "a route could not be removed: " + textOf(route);
  const LSTATUS error = RegDeleteKeyExW(HKEY_LOCAL_MACHINE, kJournalKey, KEY_WOW64_64KEY, 0);
  if (error != ERROR_SUCCESS && error != ERROR_FILE_NOT_FOUND)
    return failure("removing the journal", static_cast<DWORD>(error));
  return "";
}

}  // namespace sockeye
