#include "run/terminal.h"

#include <csignal>

#include <unistd.h>

namespace vmnet {
namespace {

constexpr int kMaxStoppingChecks = 4;

bool interrupt_is_ignored() {
  struct sigaction action{};
  return ::sigaction(SIGINT, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

bool set_foreground(pid_t group) {
  // From the background, tcsetpgrp raises SIGTTOU.
  sigset_t output_stop;
  sigset_t former;
  sigemptyset(&output_stop);
  sigaddset(&output_stop, SIGTTOU);
  ::sigprocmask(SIG_BLOCK, &output_stop, &former);
  bool done = ::tcsetpgrp(STDIN_FILENO, group) == 0;
  ::sigprocmask(SIG_SETMASK, &former, nullptr);
  return done;
}

}  // namespace

TerminalGroup::TerminalGroup() : former_group_(::getpgrp()) {
  if (former_group_ == ::getpid()) return;
  // A script's `vmnet-run ... &` has its SIGINT ignored and leaves the terminal to the script.
  bool in_foreground = ::tcgetpgrp(STDIN_FILENO) == former_group_ && !interrupt_is_ignored();
  if (::setpgid(0, 0) != 0 || !in_foreground) return;
  took_foreground_ = set_foreground(::getpgrp());
}

TerminalGroup::~TerminalGroup() {
  // Not where a shell has meanwhile decided otherwise.
  if (took_foreground_ && ::tcgetpgrp(STDIN_FILENO) == ::getpgrp()) {
    set_foreground(former_group_);
  }
}

void TerminalGroup::suspend() {
  if (!took_foreground_ || suspended()) return;
  state_ = State::kStopping;
  checks_ = 0;
  set_foreground(former_group_);
  ::kill(-former_group_, SIGTSTP);
}

void TerminalGroup::resume_if_foreground() {
  bool in_foreground = ::tcgetpgrp(STDIN_FILENO) == former_group_;
  if (state_ == State::kStopping) {
    // The shell takes the foreground when it sees its job stop. Without one nobody does, and
    // nobody would ever continue us.
    if (!in_foreground) state_ = State::kStopped;
    if (in_foreground && ++checks_ >= kMaxStoppingChecks) take_back();
  } else if (state_ == State::kStopped && in_foreground) {
    take_back();
  }
}

void TerminalGroup::take_back() {
  state_ = State::kRunning;
  set_foreground(::getpgrp());
  ::kill(-::getpgrp(), SIGCONT);
}

}  // namespace vmnet
