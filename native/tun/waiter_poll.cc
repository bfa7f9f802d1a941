// The event loop itself polls the descriptor. A thread of our own with a threadsafe function would need nothing but Node-API,
// but it adds two context switches to each wake-up, and those are what a request's delay is made of.
//
// libuv's headers are not there to be had without a download, so what is used of it is declared here. All of it is part of
// libuv 1's stable ABI and exported by Node and by Electron; the size and the number of the handle's type are asked for when it runs.
#include <cstdlib>
#include <cstring>
#include <utility>

#include "waiter.h"

extern "C" {
struct uv_loop_s;
size_t uv_handle_size(int type);
const char* uv_handle_type_name(int type);
void uv_handle_set_data(void* handle, void* data);
void* uv_handle_get_data(const void* handle);
int uv_poll_init(uv_loop_s* loop, void* handle, int descriptor);
int uv_poll_start(void* handle, int events, void (*callback)(void* handle, int status, int events));
void uv_close(void* handle, void (*callback)(void* handle));
}

namespace sockeye {

namespace {

constexpr int kReadable = 1;

/** libuv's number for a poll handle; 0 where it has none. */
int pollType() {
  for (int type = 1; type < 32; type++) {
    const char* name = uv_handle_type_name(type);
    if (name == nullptr) break;
    if (std::strcmp(name, "poll") == 0) return type;
  }
  return 0;
}

class PollWaiter;

/** What libuv holds on to until its close callback has run, longer than the waiter lives. */
struct Poll {
  PollWaiter* waiter = nullptr;
  napi_async_cleanup_hook_handle hook = nullptr;
  void* handle = nullptr;

  static void onClosed(void* handle) {
    auto* poll = static_cast<Poll*>(uv_handle_get_data(handle));
    // From here on the environment may end: it waits for its hooks.
    if (poll->hook != nullptr) napi_remove_async_cleanup_hook(poll->hook);
    std::free(poll->handle);
    delete poll;
  }
};

class PollWaiter final : public Waiter {
 public:
  PollWaiter(std::function<bool(bool)> onReady, std::function<void()> onEnd)
      : onReady_(std::move(onReady)), onEnd_(std::move(onEnd)) {}

  ~PollWaiter() override {
    if (poll_ == nullptr) return;
    poll_->waiter = nullptr;
    uv_close(poll_->handle, Poll::onClosed);
  }

  bool start(napi_env env, int descriptor) {
    uv_loop_s* loop = nullptr;
    const int type = pollType();
    if (type == 0 || napi_get_uv_event_loop(env, &loop) != napi_ok) return false;
    auto poll = std::make_unique<Poll>();
    poll->handle = std::calloc(1, uv_handle_size(type));
    if (poll->handle == nullptr || uv_poll_init(loop, poll->handle, descriptor) != 0) {
      std::free(poll->handle);
      return false;
    }
    uv_handle_set_data(poll->handle, poll.get());
    poll->waiter = this;
    poll_ = poll.release();
    return napi_add_async_cleanup_hook(env, onEnvironmentEnd, poll_, &poll_->hook) == napi_ok &&
           uv_poll_start(poll_->handle, kReadable, onPoll) == 0;
  }

 private:
  static void onPoll(void* handle, int status, int) {
    auto* poll = static_cast<Poll*>(uv_handle_get_data(handle));
    if (poll->waiter == nullptr) return;
    // A copy: whoever is called may put an end to the waiter.
    const auto onReady = poll->waiter->onReady_;
    onReady(status < 0);
  }

  static void onEnvironmentEnd(napi_async_cleanup_hook_handle, void* data) {
    auto* poll = static_cast<Poll*>(data);
    if (poll->waiter == nullptr) return;
    const auto onEnd = poll->waiter->onEnd_;
    onEnd();
  }

  const std::function<bool(bool)> onReady_;
  const std::function<void()> onEnd_;
  Poll* poll_ = nullptr;
};

}  // namespace

std::unique_ptr<Waiter> Waiter::start(napi_env env, intptr_t waitable, std::function<bool(bool)> onReady,
                                      std::function<void()> onEnd) {
  auto waiter = std::make_unique<PollWaiter>(std::move(onReady), std::move(onEnd));
  if (!waiter->start(env, static_cast<int>(waitable))) return nullptr;
  return waiter;
}

}  // namespace sockeye
