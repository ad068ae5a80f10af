#include "platform/signal_watch.h"

#include <cerrno>

#include <sys/signalfd.h>
#include <unistd.h>

namespace vmnet {

Result<SignalWatch> SignalWatch::start(std::span<const int> signals) {
  sigset_t watched;
  sigset_t original;
  sigemptyset(&watched);
  for (int number : signals) sigaddset(&watched, number);
  // A signal that is blocked is not thrown away where it is ignored (signal(7), sig_ignored()).
  if (int err = pthread_sigmask(SIG_BLOCK, &watched, &original); err != 0) {
    return fail_errno("cannot block signals", err);
  }
  UniqueFd fd(::signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd.valid()) return fail_errno("cannot watch signals", errno);
  return SignalWatch(std::move(fd), original);
}

std::optional<ReceivedSignal> SignalWatch::next() const {
  signalfd_siginfo info{};
  if (::read(fd_.get(), &info, sizeof(info)) != static_cast<ssize_t>(sizeof(info))) {
    return std::nullopt;
  }
  return ReceivedSignal{.number = static_cast<int>(info.ssi_signo),
                        .from_terminal = info.ssi_code == SI_KERNEL};
}

}  // namespace vmnet
