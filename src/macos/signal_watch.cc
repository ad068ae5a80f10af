// kqueue(2): EVFILT_SIGNAL counts signals of the process, blocked and ignored ones too.
#include "platform/signal_watch.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/event.h>

namespace vmnet {

Result<SignalWatch> SignalWatch::start(std::span<const int> signals) {
  sigset_t watched;
  sigset_t original;
  sigemptyset(&watched);
  for (int number : signals) sigaddset(&watched, number);
  if (int err = pthread_sigmask(SIG_BLOCK, &watched, &original); err != 0) {
    return fail_errno("cannot block signals", err);
  }
  UniqueFd queue(::kqueue());
  if (!queue.valid()) return fail_errno("cannot watch signals", errno);
  ::fcntl(queue.get(), F_SETFD, FD_CLOEXEC);
  for (int number : signals) {
    struct kevent change{};
    change.ident = static_cast<uintptr_t>(number);
    change.filter = EVFILT_SIGNAL;
    change.flags = EV_ADD;
    if (::kevent(queue.get(), &change, 1, nullptr, 0, nullptr) != 0) {
      return fail_errno("cannot watch signals", errno);
    }
  }
  return SignalWatch(std::move(queue), original);
}

// Who sent a signal is not told. One that counts as not from the terminal is passed on to a process
// that may have got it already, which is better than one that nobody passes on.
std::optional<ReceivedSignal> SignalWatch::next() const {
  struct kevent event{};
  timespec at_once{};
  if (::kevent(fd_.get(), nullptr, 0, &event, 1, &at_once) != 1) return std::nullopt;
  return ReceivedSignal{.number = static_cast<int>(event.ident), .from_terminal = false};
}

}  // namespace vmnet
