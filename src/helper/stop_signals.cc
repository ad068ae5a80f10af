#include "helper/stop_signals.h"

#include <cerrno>
#include <csignal>
#include <optional>

#include "forward/wake_up.h"

namespace vmnet {
namespace {

// A signal handler has no other way to reach an object.
const WakeUp* stop_flag = nullptr;

void on_stop_signal(int /*signal*/) {
  int saved = errno;
  stop_flag->raise();
  errno = saved;
}

}  // namespace

Result<int> catch_stop_signals() {
  static std::optional<WakeUp> flag;
  auto created = WakeUp::create();
  if (!created) return pass(created);
  flag.emplace(std::move(*created));
  stop_flag = &*flag;
  struct sigaction action{};
  action.sa_handler = on_stop_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (int signal : {SIGTERM, SIGINT}) {
    if (sigaction(signal, &action, nullptr) != 0) {
      return fail_errno("cannot catch SIGTERM and SIGINT", errno);
    }
  }
  return flag->fd();
}

void block_stop_signals(bool block) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(block ? SIG_BLOCK : SIG_UNBLOCK, &signals, nullptr);
}

}  // namespace vmnet
