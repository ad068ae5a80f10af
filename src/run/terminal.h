// The terminal's foreground, where vmnet-run has become a process group of its own.
//
// Only the foreground group of a terminal may read it. A shell's job leads its group already and
// nothing happens here. Started by a script, vmnet-run shares the script's group, leaves it, and
// must take the foreground along so that COMMAND (QEMU with its console on the terminal) can read;
// and give it back. Ctrl-Z then stops vmnet-run's group while the shell knows only the script's:
// the stop is passed on to that group, and its return to the foreground back to ours.
#pragma once

#include <sys/types.h>

namespace vmnet {

class TerminalGroup {
 public:
  // Makes this process the leader of a process group, in the foreground if it was there.
  TerminalGroup();
  TerminalGroup(const TerminalGroup&) = delete;
  TerminalGroup& operator=(const TerminalGroup&) = delete;
  // Gives the foreground back.
  ~TerminalGroup();

  // Whether the foreground was taken from another group, so that SIGTSTP must be handled here.
  bool took_foreground() const { return took_foreground_; }

  // On SIGTSTP: our group is stopping, stop the job that it is part of.
  void suspend();
  // While suspended, every now and then: continues our group when its job is in the foreground
  // again.
  void resume_if_foreground();
  bool suspended() const { return state_ != State::kRunning; }

 private:
  enum class State { kRunning, kStopping, kStopped };

  void take_back();

  pid_t former_group_ = 0;
  bool took_foreground_ = false;
  State state_ = State::kRunning;
  int checks_ = 0;  // while kStopping
};

}  // namespace vmnet
