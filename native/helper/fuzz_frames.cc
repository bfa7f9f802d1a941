// Fuzzes the parser of frames: clang++ -fsanitize=fuzzer,address,undefined -std=c++17 fuzz_frames.cc frames.cc
//
// Without libFuzzer, with -DSOCKEYE_MUTATE, the same check runs on a fixed sequence of broken frames (its argument: how many).
#include <cstdio>
#include <cstdlib>

#include "frames.h"

namespace {

using namespace sockeye;

void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

/** What the rest of the helper relies on, for a request that was taken. */
void checkRequest(const Request& request) {
  expect(request.verb.index() == request.number && request.number >= 1 && request.number <= 7, "the verb is known");
  if (const auto* open = std::get_if<Open>(&request.verb)) {
    expect(!open->name.empty() && open->name.size() <= kMaxName, "the name has its length");
    for (const char c : open->name) expect((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'), "the name is plain");
    expect(open->mtu >= kMinMtu, "the MTU is in range");
    expect(!open->addresses.empty() && open->addresses.size() <= kMaxDeviceAddresses, "the addresses are few");
  }
  if (const auto* capture = std::get_if<Capture>(&request.verb)) {
    expect(capture->captured.size() <= kMaxNetworks && capture->excluded.size() <= kMaxNetworks, "networks are capped");
    for (const Network& network : capture->captured)
      expect(network.prefix <= network.address.size() * 8, "the prefix is in range");
  }
  if (const auto* dns = std::get_if<Dns>(&request.verb)) {
    expect(dns->servers.size() <= kMaxServers && dns->domains.size() <= kMaxDomains, "servers and domains are capped");
    for (const std::string& domain : dns->domains)
      expect(domain[0] != '-' && domain[0] != '.' && domain.find_first_of("/ \n~") == std::string::npos,
             "a domain is no option, no path and one word");
  }
  if (const auto* sockets = std::get_if<Sockets>(&request.verb))
    expect(sockets->count >= 1 && sockets->count <= kMaxSockets, "sockets are capped");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size >= kLengthBytes) expect(frameLength(data) <= kMaxFrame, "a length is capped");
  Request request;
  if (parseRequest(data, size, request) == nullptr) checkRequest(request);
  return 0;
}

#ifdef SOCKEYE_MUTATE
int main(int argc, char** argv) {
  // One whole frame of each verb.
  const std::vector<std::vector<uint8_t>> seeds = {
      {1, 0, 0, 0, 0, 1, 0},
      {2, 0, 0, 0, 0, 3, 't', 'u', 'n', 0xdc, 5, 1, 1, 4, 10, 0, 0, 1, 32},
      {3, 0, 0, 0, 0, 1, 1, 0, 4, 10, 0, 0, 0, 8, 1, 0, 6, 0x20, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16},
      {4, 0, 0, 0, 0, 1, 1, 4, 10, 0, 0, 2, 1, 4, 'c', 'o', 'r', 'p'},
      {5, 0, 0, 0, 0, 6, 1, 64},
      {6, 0, 0, 0, 0, 1},
      {7, 0, 0, 0, 0},
  };
  for (const auto& seed : seeds) {
    Request request;
    expect(parseRequest(seed.data(), seed.size(), request) == nullptr, "a whole frame is taken");
    // Exact copies on the heap, so that a sanitizer sees each read behind the end.
    for (size_t size = 0; size < seed.size(); size++) {
      const std::vector<uint8_t> cut(seed.begin(), seed.begin() + static_cast<std::ptrdiff_t>(size));
      expect(parseRequest(cut.data(), cut.size(), request) != nullptr, "a frame that ends early is refused");
    }
    std::vector<uint8_t> longer = seed;
    longer.push_back(0);
    expect(parseRequest(longer.data(), longer.size(), request) != nullptr, "a frame with more behind it is refused");
  }
  const long rounds = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 1'000'000;
  uint64_t state = 0x9e3779b97f4a7c15;
  const auto random = [&](size_t below) {
    state = state * 6364136223846793005 + 1442695040888963407;
    return static_cast<size_t>(state >> 33) % below;
  };
  for (long i = 0; i < rounds; i++) {
    std::vector<uint8_t> frame = seeds[random(seeds.size())];
    for (size_t edits = 1 + random(4); edits > 0; edits--) {
      const size_t at = random(frame.size());
      switch (random(4)) {
        case 0:
          frame[at] = static_cast<uint8_t>(random(256));
          break;
        case 1:
          frame[at] = static_cast<uint8_t>(frame[at] ^ (1u << random(8)));
          break;
        case 2:
          frame.insert(frame.begin() + static_cast<std::ptrdiff_t>(at), static_cast<uint8_t>(random(256)));
          break;
        default:
          if (frame.size() > 1) frame.erase(frame.begin() + static_cast<std::ptrdiff_t>(at));
      }
    }
    LLVMFuzzerTestOneInput(frame.data(), frame.size());
  }
  std::printf("%ld frames\n", rounds);
  return 0;
}
#endif
