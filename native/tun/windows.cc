// A wintun device of Windows: two rings in memory shared with its driver, one packet after the other in each. wintun.dll is
// looked for beside the program and in the system's folder only, and found when it is first needed. There is no offload:
// checksums are completed here, and a large MTU does what segmentation does elsewhere. Compiled with MinGW-w64; not yet run.
#include <windows.h>

#include <cstring>
#include <map>
#include <mutex>

#include "checksum.h"
#include "segment.h"

namespace sockeye {

namespace {

// What wintun.h declares (its 0.14 API).
struct Adapter;
struct Session;
struct Wintun {
  Adapter*(WINAPI* createAdapter)(const wchar_t*, const wchar_t*, const GUID*) = nullptr;
  void(WINAPI* closeAdapter)(Adapter*) = nullptr;
  Session*(WINAPI* startSession)(Adapter*, DWORD) = nullptr;
  void(WINAPI* endSession)(Session*) = nullptr;
  HANDLE(WINAPI* readWaitEvent)(Session*) = nullptr;
  uint8_t*(WINAPI* receivePacket)(Session*, DWORD*) = nullptr;
  void(WINAPI* releaseReceivePacket)(Session*, const uint8_t*) = nullptr;
  uint8_t*(WINAPI* allocateSendPacket)(Session*, DWORD) = nullptr;
  void(WINAPI* sendPacket)(Session*, const uint8_t*) = nullptr;
  bool complete = true;
};

/** Bytes of each ring: a power of two, of which wintun allows 128 KB to 64 MB. */
constexpr DWORD kRing = 4 << 20;
/** The largest packet that fits into wintun's rings. */
constexpr size_t kMaxWintunPacket = 0xffff;

template <typename Function>
void resolve(HMODULE library, Wintun& wintun, Function& function, const char* name) {
  // By way of void*, which says that a change of the function's type is meant.
  function = reinterpret_cast<Function>(reinterpret_cast<void*>(GetProcAddress(library, name)));
  if (function == nullptr) wintun.complete = false;
}

const Wintun& wintun() {
  static const Wintun loaded = [] {
    Wintun w;
    const HMODULE library = LoadLibraryExW(L"wintun.dll", nullptr,
                                           LOAD_LIBRARY_SEARCH_APPLICATION_DIR | LOAD_LIBRARY_SEARCH_SYSTEM32);
    if (library == nullptr) {
      w.complete = false;
      return w;
    }
    resolve(library, w, w.createAdapter, "WintunCreateAdapter");
    resolve(library, w, w.closeAdapter, "WintunCloseAdapter");
    resolve(library, w, w.startSession, "WintunStartSession");
    resolve(library, w, w.endSession, "WintunEndSession");
    resolve(library, w, w.readWaitEvent, "WintunGetReadWaitEvent");
    resolve(library, w, w.receivePacket, "WintunReceivePacket");
    resolve(library, w, w.releaseReceivePacket, "WintunReleaseReceivePacket");
    resolve(library, w, w.allocateSendPacket, "WintunAllocateSendPacket");
    resolve(library, w, w.sendPacket, "WintunSendPacket");
    return w;
  }();
  return loaded;
}

std::string describe(const char* what, DWORD error) {
  return std::string(what) + ": Windows error " + std::to_string(error);
}

class WintunDevice final : public Device {
 public:
  WintunDevice(std::string name, Adapter* adapter, Session* session)
      : name_(std::move(name)), adapter_(adapter), session_(session) {}
  ~WintunDevice() override {
    wintun().endSession(session_);
    wintun().closeAdapter(adapter_);
  }

  std::string name() const override { return name_; }
  /** Whoever set the interface up knows: it is the IP interface's, of each family, and not the adapter's. */
  unsigned mtu() const override { return 0; }
  bool completesChecksums() const override { return false; }
  bool segments() const override { return false; }
  intptr_t waitable() const override { return reinterpret_cast<intptr_t>(wintun().readWaitEvent(session_)); }

  Outcome read(uint8_t* room, Incoming& packet) override {
    DWORD bytes = 0;
    const uint8_t* received = wintun().receivePacket(session_, &bytes);
    if (received == nullptr) return GetLastError() == ERROR_NO_MORE_ITEMS ? Outcome::empty : gone(kDeviceEnded);
    const bool fits = bytes > 0 && bytes <= kMaxPacket;
    if (fits) std::memcpy(room + kHeadroom, received, bytes);
    wintun().releaseReceivePacket(session_, received);
    if (!fits) return Outcome::lost;
    packet.start = room + kHeadroom;
    packet.length = bytes;
    packet.checksum = verify(packet.start, packet.length);
    return Outcome::done;
  }

  Outcome write(Outgoing& packet) override { return writeInSoftware(*this, packet); }

  Outcome put(iovec* parts, int count) override {
    size_t length = 0;
    for (int i = 0; i < count; i++) length += parts[i].iov_len;
    if (length > kMaxWintunPacket) return Outcome::lost;
    uint8_t* at = wintun().allocateSendPacket(session_, static_cast<DWORD>(length));
    // ERROR_BUFFER_OVERFLOW: the ring is full.
    if (at == nullptr) return GetLastError() == ERROR_HANDLE_EOF ? gone(kDeviceEnded) : Outcome::lost;
    uint8_t* to = at;
    for (int i = 0; i < count; i++) {
      std::memcpy(to, parts[i].iov_base, parts[i].iov_len);
      to += parts[i].iov_len;
    }
    wintun().sendPacket(session_, at);
    return Outcome::done;
  }

 private:
  const std::string name_;
  Adapter* const adapter_;
  Session* const session_;
};

/** Devices that were created and wait to be taken over, by the number that stands for a descriptor here. */
struct Waiting {
  std::mutex mutex;
  std::map<intptr_t, std::unique_ptr<Device>> devices;
  intptr_t last = 0;
};

Waiting& waiting() {
  static Waiting all;
  return all;
}

}  // namespace

std::unique_ptr<Device> attach(intptr_t descriptor, const Wishes&, std::string& problem) {
  Waiting& all = waiting();
  const std::lock_guard<std::mutex> lock(all.mutex);
  const auto found = all.devices.find(descriptor);
  if (found == all.devices.end()) {
    problem = "the descriptor is no open TUN device";
    return nullptr;
  }
  auto device = std::move(found->second);
  all.devices.erase(found);
  return device;
}

intptr_t create(const std::string& name, bool, bool manyQueues, std::string& problem) {
  if (manyQueues) {
    problem = "a device has one queue here";
    return -1;
  }
  const Wintun& w = wintun();
  if (!w.complete) {
    problem = "wintun.dll is not beside the program, or not version 0.14 or later";
    return -1;
  }
  wchar_t wide[128];
  if (MultiByteToWideChar(CP_UTF8, 0, name.empty() ? "Sockeye" : name.c_str(), -1, wide, 128) == 0) {
    problem = "a device's name has at most 127 characters";
    return -1;
  }
  Adapter* adapter = w.createAdapter(wide, L"Sockeye", nullptr);
  if (adapter == nullptr) {
    problem = describe("the TUN device can't be created", GetLastError());
    return -1;
  }
  Session* session = w.startSession(adapter, kRing);
  if (session == nullptr) {
    problem = describe("the TUN device can't be opened", GetLastError());
    w.closeAdapter(adapter);
    return -1;
  }
  Waiting& all = waiting();
  const std::lock_guard<std::mutex> lock(all.mutex);
  all.devices[++all.last] = std::make_unique<WintunDevice>(name.empty() ? "Sockeye" : name, adapter, session);
  return all.last;
}

}  // namespace sockeye
