// A thread whose stack has the size it needs, whatever limit the process inherited (the C library's
// default is the stack's limit of the start), and whose failure to start is a value.
#pragma once

#include <functional>
#include <utility>

#include <pthread.h>

#include "base/result.h"

namespace vmnet {

// Joined before its end by whoever owns it: an object that still runs may not be destroyed.
class Thread {
 public:
  Thread() = default;  // none
  Thread(Thread&& other) noexcept : running_(std::exchange(other.running_, false)) {
    id_ = other.id_;
  }
  Thread& operator=(Thread&& other) noexcept {
    running_ = std::exchange(other.running_, false);
    id_ = other.id_;
    return *this;
  }
  ~Thread() = default;

  // Runs `body`, which must not throw, in a new thread. Source: pthread_create(3).
  static Result<Thread> start(std::function<void()> body);

  // Started, and not joined yet.
  bool running() const { return running_; }

  // Waits for its end; does nothing where there is none, or a second time.
  void join();

 private:
  pthread_t id_{};
  bool running_ = false;
};

}  // namespace vmnet
