// A flag that poll() sees: how one thread stops or wakes another that waits for frames.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

namespace vmnet {

// A pipe to itself. Raised, its fd() is readable by any number of waiting threads until clear().
class WakeUp {
 public:
  static Result<WakeUp> create();

  int fd() const { return read_end_.get(); }

  // Thread-safe. Several raises before a clear() are one. Blocks only where the kernel has no
  // memory for the flag, at most 0.1 s.
  void raise() const;

  // By the one thread that acts on the flag, before it looks at what changed. A flag that means
  // "stop" is never cleared.
  void clear() const;

 private:
  WakeUp(UniqueFd read_end, UniqueFd write_end)
      : read_end_(std::move(read_end)), write_end_(std::move(write_end)) {}

  UniqueFd read_end_;
  UniqueFd write_end_;
};

}  // namespace vmnet
