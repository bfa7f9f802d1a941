#include "routing.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <type_traits>

#include "files.h"
#include "routes.h"

namespace sockeye {
namespace {

using Routes = std::vector<Route>;

std::string path() { return std::string(kRunFolder) + "/journal"; }

std::string failure(const std::string& what, int error) { return what + ": " + std::strerror(error); }

std::string textOf(const Route& route) {
  return textOf(route.network.address) + "/" + std::to_string(route.network.prefix);
}

bool contains(const Routes& list, const Route& route) { return std::find(list.begin(), list.end(), route) != list.end(); }

Routes intersection(const Routes& a, const Routes& b) {
  Routes both;
  for (const Route& route : a)
    if (contains(b, route)) both.push_back(route);
  return both;
}

// The journal is the routes as they lie in memory, for the same program to read.
static_assert(std::is_trivially_copyable_v<Route>, "it is written as it is");

Routes loadJournal() {
  std::string content;
  if (readFile(path().c_str(), content) != 0 || content.size() % sizeof(Route) != 0) return {};
  Routes routes(content.size() / sizeof(Route));
  if (!routes.empty()) std::memcpy(static_cast<void*>(routes.data()), content.data(), content.size());
  return routes;
}

int saveJournal(const Routes& routes) {
  std::string content;
  for (const Route& route : routes) content.append(reinterpret_cast<const char*>(&route), sizeof route);
  if (content.size() > kMaxFile) return EFBIG;
  return replaceFile(path(), content, {0600, 0, 0});
}

bool covers(const Network& wide, const Network& narrow) {
  if (wide.address.family != narrow.address.family || wide.prefix > narrow.prefix) return false;
  for (size_t bit = 0; bit < wide.prefix; bit++)
    if (((wide.address.bytes[bit / 8] ^ narrow.address.bytes[bit / 8]) >> (7 - bit % 8)) & 1) return false;
  return true;
}

bool hasNetwork(const Routes& routes, const Network& network) {
  return std::any_of(routes.begin(), routes.end(), [&](const Route& route) { return route.network == network; });
}

/** The longest prefix that holds a network. @returns null where there is none. */
const Route* wayTo(const Routes& routes, const Network& network) {
  const Route* best = nullptr;
  for (const Route& route : routes)
    if (covers(route.network, network) && (best == nullptr || route.network.prefix > best->network.prefix)) best = &route;
  return best;
}

void addOnce(Routes& routes, const Route& route) {
  if (!hasNetwork(routes, route.network)) routes.push_back(route);
}

/** @param others the routes that are not ours. */
Routes wantedRoutes(const Capture& capture, uint32_t device, const Routes& others) {
  Routes wanted;
  // Excluded ones come first, so that no packet of theirs is captured meanwhile. One that has a route needs none of ours.
  for (const Network& network : capture.excluded) {
    const Route* way = wayTo(others, network);
    if (way == nullptr || way->network == network) continue;
    Route route = *way;
    route.network = network;
    addOnce(wanted, route);
  }
  for (const Network& network : capture.captured) {
    if (std::find(capture.excluded.begin(), capture.excluded.end(), network) != capture.excluded.end()) continue;
    Route route;
    route.network = network;
    route.interface = device;
    const size_t bits = network.address.size() * 8;
    if (network.prefix == bits || (network.prefix > 0 && !hasNetwork(others, network))) {
      addOnce(wanted, route);
      continue;
    }
    route.network.prefix++;
    addOnce(wanted, route);
    uint8_t& byte = route.network.address.bytes[network.prefix / 8];
    byte = static_cast<uint8_t>(byte | 0x80 >> network.prefix % 8);
    addOnce(wanted, route);
  }
  return wanted;
}

/** A network has one route: the old one makes way. */
int replaceRoute(const Route& route, const Routes& ours) {
  for (const Route& old : ours)
    if (old.network == route.network) removeRoute(old);
  return addRoute(route);
}

}  // namespace

std::string settle(const Capture& capture, uint32_t device) {
  Routes table;
  if (const int error = readTable(table)) return failure("reading the routes", error);
  const Routes ours = intersection(loadJournal(), table);
  Routes others;
  for (const Route& route : table)
    if (!contains(ours, route) && route.interface != device) others.push_back(route);

  const Routes wanted = wantedRoutes(capture, device, others);
  Routes known = ours;
  for (const Route& route : wanted)
    if (!contains(known, route)) known.push_back(route);
  if (const int error = saveJournal(known)) return failure("the journal", error);

  for (const Route& route : wanted) {
    if (contains(ours, route)) continue;
    if (const int error = replaceRoute(route, ours)) return failure("adding the route to " + textOf(route), error);
  }
  // Whether a removal worked is seen when all is read again.
  for (const Route& route : ours)
    if (!hasNetwork(wanted, route.network)) removeRoute(route);

  if (const int error = readTable(table)) return failure("reading the routes again", error);
  for (const Route& route : wanted)
    if (!contains(table, route)) return "a route is missing: " + textOf(route);
  for (const Route& route : ours)
    if (!contains(wanted, route) && contains(table, route)) return "a route could not be removed: " + textOf(route);
  if (const int error = saveJournal(wanted)) return failure("the journal", error);
  return "";
}

std::string removeRoutes() {
  const Routes journal = loadJournal();
  Routes table;
  if (const int error = readTable(table)) return failure("reading the routes", error);
  for (const Route& route : intersection(journal, table)) removeRoute(route);
  if (const int error = readTable(table)) return failure("reading the routes again", error);
  const Routes left = intersection(journal, table);
  if (!left.empty()) return "a route could not be removed: " + textOf(left[0]);
  const int error = removeFile(path());
  return error == 0 ? "" : failure("removing the journal", error);
}

}  // namespace sockeye
