// Waiting for packets without blocking the event loop.
#pragma once

#include <node_api.h>

#include <functional>
#include <memory>

#include "device.h"

namespace sockeye {

class Waiter {
 public:
  /** Stops the waiting: `onReady` is not called again. */
  virtual ~Waiter() = default;

  /**
   * Calls `onReady` on the event loop's thread whenever the device may have packets, again and again until it has none.
   * It says whether it has left packets behind. Its argument is true where waiting itself has failed: then it is called no
   * more, and the next read may say why.
   * @param onEnd called instead, once, when the environment (a process, a worker thread) ends: the waiter is to go at once.
   * @returns nothing where the loop refuses.
   */
  static std::unique_ptr<Waiter> start(napi_env env, Device& device, std::function<bool(bool)> onReady,
                                       std::function<void()> onEnd);
};

}  // namespace sockeye
