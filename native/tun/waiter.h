// Waiting for packets, or datagrams, without blocking the event loop.
#pragma once

#include <node_api.h>

#include <cstdint>
#include <functional>
#include <memory>

namespace sockeye {

class Waiter {
 public:
  /** Stops the waiting: `onReady` is not called again. */
  virtual ~Waiter() = default;

  /**
   * Calls `onReady` on the event loop's thread whenever there may be something to read, again and again until there is none.
   * It says whether it has left something behind. Its argument is true where waiting itself has failed: then it is called no
   * more, and the next read may say why.
   * @param waitable a descriptor; on Windows the handle of an event.
   * @param onEnd called instead, once, when the environment (a process, a worker thread) ends: the waiter is to go at once.
   * @returns nothing where the loop refuses.
   */
  static std::unique_ptr<Waiter> start(napi_env env, intptr_t waitable, std::function<bool(bool)> onReady,
                                       std::function<void()> onEnd);
};

}  // namespace sockeye
