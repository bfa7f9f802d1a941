// A wintun adapter, and its packets on their way to the engine and back. They are carried in batches and never looked into:
// what they hold is read, and their checksums are completed, in the engine, which has no privilege.
//
// A batch is a u32 length of what follows, at most kMaxBatch, and packets, each behind a u16 with its length. Numbers are
// little-endian. engine/src/device/pipe-device.ts is the other end. Compiled with MinGW-w64; not yet run.
#ifndef SOCKEYE_ADAPTER_H
#define SOCKEYE_ADAPTER_H

#include <winsock2.h>
#include <windows.h>
#include <ws2ipdef.h>
#include <iphlpapi.h>
#include <netioapi.h>

#include <memory>
#include <thread>

#include "machine.h"
#include "pipe.h"

namespace sockeye {

/** Bytes of a batch's packets with their lengths. */
constexpr size_t kMaxBatch = 256 * 1024;

struct WintunAdapter;
struct WintunSession;

class Adapter {
 public:
  /** Makes the adapter and opens its rings; packets are carried for the process `client`. */
  Adapter(const std::string& name, DWORD client, Problem& problem);
  /** With it the adapter is gone, with its addresses and routes. */
  ~Adapter();
  Adapter(const Adapter&) = delete;
  Adapter& operator=(const Adapter&) = delete;

  NET_LUID luid() const { return luid_; }

 private:
  void carryToAdapter();
  void carryToEngine();
  bool sendAll(const uint8_t* batch, size_t size);

  WintunAdapter* adapter_ = nullptr;
  WintunSession* session_ = nullptr;
  NET_LUID luid_{};
  DWORD client_;
  Handle stop_{CreateEventW(nullptr, TRUE, FALSE, nullptr)};
  std::unique_ptr<Pipe> pipe_;
  std::thread thread_;
};

}  // namespace sockeye

#endif
