#include "adapter.h"

#include <cstring>
#include <vector>

namespace sockeye {
namespace {

// What wintun.h declares (its 0.14 API).
struct Wintun {
  WintunAdapter*(WINAPI* createAdapter)(const wchar_t*, const wchar_t*, const GUID*) = nullptr;
  void(WINAPI* closeAdapter)(WintunAdapter*) = nullptr;
  void(WINAPI* getLuid)(WintunAdapter*, NET_LUID*) = nullptr;
  WintunSession*(WINAPI* startSession)(WintunAdapter*, DWORD) = nullptr;
  void(WINAPI* endSession)(WintunSession*) = nullptr;
  HANDLE(WINAPI* readWaitEvent)(WintunSession*) = nullptr;
  uint8_t*(WINAPI* receivePacket)(WintunSession*, DWORD*) = nullptr;
  void(WINAPI* releaseReceivePacket)(WintunSession*, const uint8_t*) = nullptr;
  uint8_t*(WINAPI* allocateSendPacket)(WintunSession*, DWORD) = nullptr;
  void(WINAPI* sendPacket)(WintunSession*, const uint8_t*) = nullptr;
  bool complete = false;
};

/** Bytes of each ring: a power of two. */
constexpr DWORD kRing = 4 << 20;
/** Always the same, so that Windows takes it for one network and not for a new one each time. */
constexpr GUID kAdapterId = {0x5d0c6e2a, 0x9b7f, 0x4c41, {0x8e, 0x13, 0x7a, 0x64, 0x2f, 0x90, 0xb5, 0x0c}};

template <typename Function>
bool resolve(HMODULE library, Function& function, const char* name) {
  // By way of void*, which says that a change of the function's type is meant.
  function = reinterpret_cast<Function>(reinterpret_cast<void*>(GetProcAddress(library, name)));
  return function != nullptr;
}

/** From this program's own folder and nowhere else. */
const Wintun& wintun() {
  static const Wintun loaded = [] {
    Wintun w;
    const HMODULE library = LoadLibraryExW(L"wintun.dll", nullptr, LOAD_LIBRARY_SEARCH_APPLICATION_DIR);
    w.complete = library != nullptr && resolve(library, w.createAdapter, "WintunCreateAdapter") &&
                 resolve(library, w.closeAdapter, "WintunCloseAdapter") &&
                 resolve(library, w.getLuid, "WintunGetAdapterLUID") &&
                 resolve(library, w.startSession, "WintunStartSession") &&
                 resolve(library, w.endSession, "WintunEndSession") &&
                 resolve(library, w.readWaitEvent, "WintunGetReadWaitEvent") &&
                 resolve(library, w.receivePacket, "WintunReceivePacket") &&
                 resolve(library, w.releaseReceivePacket, "WintunReleaseReceivePacket") &&
                 resolve(library, w.allocateSendPacket, "WintunAllocateSendPacket") &&
                 resolve(library, w.sendPacket, "WintunSendPacket");
    return w;
  }();
  return loaded;
}

Failure failure(const char* what, DWORD error) {
  return {std::string(what) + ": Windows error " + std::to_string(error), static_cast<int>(error)};
}

constexpr size_t kBatchHead = 4;
constexpr size_t kPacketHead = 2;
constexpr size_t kMaxPacket = 0xffff;

}  // namespace

Adapter::Adapter(const std::string& name, DWORD client, Problem& problem) : client_(client) {
  const Wintun& w = wintun();
  if (!w.complete) {
    problem = Failure{"wintun.dll is not beside the helper, or not version 0.14 or later"};
    return;
  }
  const std::wstring wide(name.begin(), name.end());
  adapter_ = w.createAdapter(wide.c_str(), L"Sockeye", &kAdapterId);
  if (adapter_ == nullptr) {
    problem = failure("creating a TUN device", GetLastError());
    return;
  }
  w.getLuid(adapter_, &luid_);
  session_ = w.startSession(adapter_, kRing);
  if (session_ == nullptr) {
    problem = failure("opening the TUN device", GetLastError());
    return;
  }
  pipe_ = std::make_unique<Pipe>(kPacketPipe, stop_.get());
  if (!pipe_->made()) {
    problem = failure("making the pipe for packets", GetLastError());
    return;
  }
  thread_ = std::thread([this] { carryToAdapter(); });
}

Adapter::~Adapter() {
  SetEvent(stop_.get());
  if (thread_.joinable()) thread_.join();
  if (session_ != nullptr) wintun().endSession(session_);
  if (adapter_ != nullptr) wintun().closeAdapter(adapter_);
}

void Adapter::carryToAdapter() {
  // The process that asks for packets is the one that asked for the device; others are sent away.
  for (;;) {
    if (!pipe_->accept()) return;
    if (pipe_->client() == client_) break;
    pipe_->disconnect();
  }
  std::thread back([this] { carryToEngine(); });
  std::vector<uint8_t> batch(kMaxBatch);
  for (;;) {
    uint8_t head[kBatchHead];
    if (!pipe_->read(head, kBatchHead)) break;
    const size_t size = head[0] | size_t{head[1]} << 8 | size_t{head[2]} << 16 | size_t{head[3]} << 24;
    if (size > kMaxBatch || !pipe_->read(batch.data(), size) || !sendAll(batch.data(), size)) break;
  }
  // Either way ends the other.
  SetEvent(stop_.get());
  back.join();
  pipe_->disconnect();
}

/** @returns false where the batch is malformed, or the adapter gone. */
bool Adapter::sendAll(const uint8_t* batch, size_t size) {
  for (size_t at = 0; at < size;) {
    if (size - at < kPacketHead) return false;
    const size_t length = batch[at] | size_t{batch[at + 1]} << 8;
    at += kPacketHead;
    if (length == 0 || length > size - at) return false;
    uint8_t* room = wintun().allocateSendPacket(session_, static_cast<DWORD>(length));
    if (room == nullptr && GetLastError() == ERROR_HANDLE_EOF) return false;
    // A ring that is full loses packets, as any queue does.
    if (room != nullptr) {
      std::memcpy(room, batch + at, length);
      wintun().sendPacket(session_, room);
    }
    at += length;
  }
  return true;
}

void Adapter::carryToEngine() {
  const HANDLE waiting[] = {wintun().readWaitEvent(session_), stop_.get()};
  std::vector<uint8_t> batch(kBatchHead + kMaxBatch);
  for (;;) {
    size_t at = kBatchHead;
    DWORD error = ERROR_SUCCESS;
    while (batch.size() - at >= kPacketHead + kMaxPacket) {
      DWORD length = 0;
      const uint8_t* packet = wintun().receivePacket(session_, &length);
      if (packet == nullptr) {
        error = GetLastError();
        break;
      }
      if (length > 0 && length <= kMaxPacket) {
        batch[at] = static_cast<uint8_t>(length);
        batch[at + 1] = static_cast<uint8_t>(length >> 8);
        std::memcpy(batch.data() + at + kPacketHead, packet, length);
        at += kPacketHead + length;
      }
      wintun().releaseReceivePacket(session_, packet);
    }
    const size_t size = at - kBatchHead;
    for (size_t i = 0; i < kBatchHead; i++) batch[i] = static_cast<uint8_t>(size >> (8 * i));
    if (size > 0 && !pipe_->write(batch.data(), at)) break;
    if (error != ERROR_SUCCESS && error != ERROR_NO_MORE_ITEMS) break;
    if (error == ERROR_NO_MORE_ITEMS && WaitForMultipleObjects(2, waiting, FALSE, INFINITE) != WAIT_OBJECT_0) break;
    if (WaitForSingleObject(stop_.get(), 0) == WAIT_OBJECT_0) break;
  }
  SetEvent(stop_.get());
}

}  // namespace sockeye
