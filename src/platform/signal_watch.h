// Signals as readable events, for programs that wait in poll: signalfd on Linux, kqueue on macOS.
#pragma once

#include <optional>
#include <span>
#include <utility>

#include <signal.h>

#include "base/result.h"
#include "base/unique_fd.h"

namespace vmnet {

struct ReceivedSignal {
  int number = 0;
  bool from_terminal = false;  // sent by the kernel to the whole foreground group: Ctrl-C and such
};

class SignalWatch {
 public:
  // Blocks `signals` in the calling thread, and so in all that it starts; they are watched from now
  // on, even those that the process was started with ignored.
  static Result<SignalWatch> start(std::span<const int> signals);

  // Becomes readable when a signal waits.
  int fd() const { return fd_.get(); }

  // The next signal that waits, if any. Never blocks. Signals of a kind coalesce.
  std::optional<ReceivedSignal> next() const;

  // The thread's signal mask before start(): what a child process should begin with.
  const sigset_t& original_mask() const { return original_mask_; }

 private:
  SignalWatch(UniqueFd fd, sigset_t original_mask)
      : fd_(std::move(fd)), original_mask_(original_mask) {}

  UniqueFd fd_;
  sigset_t original_mask_;
};

}  // namespace vmnet
