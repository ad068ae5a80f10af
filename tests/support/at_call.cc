// Runs a program and strikes at one of its system calls: the test of what a fault at any moment
// leaves behind. Unlike strace's injection it counts all calls of a process together, so that
// "every call of a start" is a range of numbers. x86-64 (it replaces calls in registers),
// Linux 5.3.
//
//   at_call PROCESS NUMBER ACTION COMMAND...
//
//   PROCESS   0: the program, 1: the first process that it forks
//   NUMBER    the call, from 1; those of the loader and the C library before the program's own
//             first one (fcntl) do not count; 0: none, to count only
//   ACTION    kill (SIGKILL to that process), kill-all, or an errno: the call does nothing but fail
//
// Ends when all processes have ended, with the program's status (128 + N: ended by signal N); the
// last line on standard error is "at_call: CALL COUNT0 COUNT1", CALL a number or "-". SIGTERM is
// passed to the program. What it started dies with it.
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <string_view>

#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

volatile sig_atomic_t terminate = 0;

constexpr size_t kProcesses = 2;  // that are counted

struct Target {
  size_t process = 0;
  int number = 0;
  std::string_view action;
  int error = 0;
};

struct Task {
  size_t process = 0;
  int failing_with = 0;  // the errno that the call under way is to return
  user_regs_struct registers{};
};

// Calls that cannot be made to fail: they do not return, tell of it by no errno (brk), or cannot
// fail for what a kernel may run out of, so that the C library ends the process. A write that finds
// no room is one to a full pipe, which ours are not.
bool can_fail(long call, int error) {
  if (call == SYS_write && error == EAGAIN) return false;
  constexpr std::array kSure = {SYS_exit, SYS_exit_group,     SYS_rt_sigreturn, SYS_execve,
                                SYS_brk,  SYS_rt_sigprocmask, SYS_rseq,         SYS_futex};
  return std::ranges::find(kSure, call) == kSure.end();
}

class Tracer {
 public:
  Tracer(pid_t program, const Target& target) : program_(program), target_(target) {
    tasks_[program] = {};
    leaders_ = {program};
  }

  int run() {
    while (!tasks_.empty()) {
      int status = 0;
      pid_t pid = waitpid(-1, &status, __WALL);
      if (pid < 0 && errno != EINTR) break;
      if (terminate != 0) {
        terminate = 0;
        kill(program_, SIGTERM);
      }
      if (pid > 0) handle(pid, status);
    }
    (void)std::fprintf(stderr, "at_call: %s %d %d\n", struck_.data(), counts_[0], counts_[1]);
    return program_status_;
  }

 private:
  void handle(pid_t pid, int status) {
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
      if (pid == program_) {
        program_status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      }
      tasks_.erase(pid);
      return;
    }
    int signal = WSTOPSIG(status);
    int event = status >> 16;
    int deliver = 0;
    if (signal == (SIGTRAP | 0x80)) {
      at_system_call(pid, tasks_[pid]);
    } else if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_CLONE ||
               event == PTRACE_EVENT_VFORK) {
      unsigned long child = 0;
      ptrace(PTRACE_GETEVENTMSG, pid, nullptr, &child);
      bool thread = event == PTRACE_EVENT_CLONE;
      tasks_[static_cast<pid_t>(child)].process = thread ? tasks_[pid].process : next_process_++;
      if (!thread) leaders_.insert(static_cast<pid_t>(child));
    } else if (event == 0 && signal != SIGSTOP) {  // a SIGSTOP is a new task's first
      deliver = signal;
    }
    ptrace(PTRACE_SYSCALL, pid, nullptr, deliver);
  }

  void at_system_call(pid_t pid, Task& task) {
    __ptrace_syscall_info info{};
    ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info);
    if (info.op == PTRACE_SYSCALL_INFO_EXIT && task.failing_with != 0) {
      user_regs_struct registers = task.registers;
      registers.rax = static_cast<unsigned long long>(-static_cast<long long>(task.failing_with));
      ptrace(PTRACE_SETREGS, pid, nullptr, &registers);
      task.failing_with = 0;
    }
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY || task.process >= kProcesses) return;
    auto call = static_cast<long>(info.entry.nr);
    started_ = started_ || call == SYS_fcntl;
    if (!started_ || ++counts_.at(task.process) != target_.number) return;
    if (task.process != target_.process) return;
    (void)std::snprintf(struck_.data(), struck_.size(), "%ld", call);
    strike(pid, task, call);
  }

  void strike(pid_t pid, Task& task, long call) {
    if (target_.action == "kill-all") {
      for (pid_t leader : leaders_) kill(leader, SIGKILL);
    } else if (target_.action == "kill") {
      kill(pid, SIGKILL);
    } else if (can_fail(call, target_.error)) {
      // A call that every sandbox allows, and that does nothing, takes its place.
      ptrace(PTRACE_GETREGS, pid, nullptr, &task.registers);
      user_regs_struct registers = task.registers;
      registers.orig_rax = SYS_close;
      registers.rdi = ~0ULL;
      ptrace(PTRACE_SETREGS, pid, nullptr, &registers);
      task.failing_with = target_.error;
    }
  }

  pid_t program_;
  Target target_;
  std::map<pid_t, Task> tasks_;
  std::set<pid_t> leaders_;  // processes, not threads
  size_t next_process_ = 1;
  bool started_ = false;
  std::array<int, kProcesses> counts_{};
  std::array<char, 16> struck_{"-"};
  int program_status_ = 1;
};

// 0 where it is none.
int number(const char* text) { return static_cast<int>(std::strtol(text, nullptr, 10)); }

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    (void)std::fputs("usage: at_call PROCESS NUMBER kill|kill-all|ERRNO COMMAND...\n", stderr);
    return 2;
  }
  Target target{.process = static_cast<size_t>(number(argv[1])),
                .number = number(argv[2]),
                .action = argv[3],
                .error = number(argv[3])};
  pid_t program = fork();
  if (program == 0) {
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    (void)raise(SIGSTOP);
    execv(argv[4], argv + 4);
    std::perror(argv[4]);
    _exit(127);
  }
  struct sigaction note{};
  note.sa_handler = [](int) { terminate = 1; };
  sigaction(SIGTERM, &note, nullptr);
  waitpid(program, nullptr, 0);
  constexpr long kOptions = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                            PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
  ptrace(PTRACE_SETOPTIONS, program, nullptr, kOptions);
  ptrace(PTRACE_SYSCALL, program, nullptr, 0);
  return Tracer(program, target).run();
}
