// Windows: the event loop can't wait for an event, so a thread does, and wakes the loop. The event resets itself when it has
// woken the thread, which then waits for JavaScript to have read all there was. Compiled with MinGW-w64; not yet run.
#include <windows.h>

#include <thread>
#include <utility>

#include "waiter.h"

namespace sockeye {

namespace {

class EventWaiter;

/** What the thread and the threadsafe function hold on to; the latter's finalizer, the last to run, frees it. */
struct Wake {
  EventWaiter* waiter = nullptr;
  napi_threadsafe_function function = nullptr;
  HANDLE packets = nullptr;
  HANDLE stop = CreateEventW(nullptr, TRUE, FALSE, nullptr);
  /** Set when all was read: the thread may wait for packets again. */
  HANDLE empty = CreateEventW(nullptr, FALSE, FALSE, nullptr);

  Wake() = default;
  Wake(const Wake&) = delete;
  Wake& operator=(const Wake&) = delete;
  ~Wake() {
    if (stop != nullptr) CloseHandle(stop);
    if (empty != nullptr) CloseHandle(empty);
  }
};

class EventWaiter final : public Waiter {
 public:
  EventWaiter(napi_env env, std::function<bool(bool)> onReady, std::function<void()> onEnd)
      : env_(env), onReady_(std::move(onReady)), onEnd_(std::move(onEnd)) {}

  ~EventWaiter() override {
    if (wake_ == nullptr) return;
    napi_remove_env_cleanup_hook(env_, onEnvironmentEnd, this);
    wake_->waiter = nullptr;
    SetEvent(wake_->stop);
    if (thread_.joinable()) thread_.join();
    napi_release_threadsafe_function(wake_->function, napi_tsfn_abort);
  }

  bool start(HANDLE packets) {
    auto wake = std::make_unique<Wake>();
    if (wake->stop == nullptr || wake->empty == nullptr) return false;
    wake->packets = packets;
    wake->waiter = this;
    napi_value name;
    if (napi_create_string_utf8(env_, "sockeye:tun", NAPI_AUTO_LENGTH, &name) != napi_ok ||
        napi_create_threadsafe_function(env_, nullptr, nullptr, name, 0, 1, wake.get(), onFinal, wake.get(), onWake,
                                        &wake->function) != napi_ok) {
      return false;
    }
    wake_ = wake.release();
    napi_add_env_cleanup_hook(env_, onEnvironmentEnd, this);
    Wake* shared = wake_;
    thread_ = std::thread([shared] { waitFor(*shared); });
    return true;
  }

 private:
  static void waitFor(Wake& wake) {
    // Packets may have come before anybody waited.
    for (;;) {
      if (napi_call_threadsafe_function(wake.function, nullptr, napi_tsfn_nonblocking) != napi_ok) return;
      const HANDLE read[] = {wake.stop, wake.empty};
      if (WaitForMultipleObjects(2, read, FALSE, INFINITE) != WAIT_OBJECT_0 + 1) return;
      const HANDLE come[] = {wake.stop, wake.packets};
      if (WaitForMultipleObjects(2, come, FALSE, INFINITE) != WAIT_OBJECT_0 + 1) return;
    }
  }

  static void onWake(napi_env env, napi_value, void* context, void*) {
    auto* wake = static_cast<Wake*>(context);
    if (env == nullptr || wake->waiter == nullptr) return;
    // A copy: whoever is called may put an end to the waiter.
    const auto onReady = wake->waiter->onReady_;
    const bool more = onReady(false);
    if (wake->waiter == nullptr) return;
    if (!more || napi_call_threadsafe_function(wake->function, nullptr, napi_tsfn_nonblocking) != napi_ok) {
      SetEvent(wake->empty);
    }
  }

  static void onFinal(napi_env, void* data, void*) { delete static_cast<Wake*>(data); }

  static void onEnvironmentEnd(void* data) {
    const auto onEnd = static_cast<EventWaiter*>(data)->onEnd_;
    onEnd();
  }

  const napi_env env_;
  const std::function<bool(bool)> onReady_;
  const std::function<void()> onEnd_;
  Wake* wake_ = nullptr;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Waiter> Waiter::start(napi_env env, intptr_t waitable, std::function<bool(bool)> onReady,
                                      std::function<void()> onEnd) {
  auto waiter = std::make_unique<EventWaiter>(env, std::move(onReady), std::move(onEnd));
  if (!waiter->start(reinterpret_cast<HANDLE>(waitable))) return nullptr;
  return waiter;
}

}  // namespace sockeye
