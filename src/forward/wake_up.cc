#include "forward/wake_up.h"

#include <array>
#include <cerrno>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace vmnet {

Result<WakeUp> WakeUp::create() {
  // pipe() and not pipe2() or eventfd(): macOS has neither, and no thread forks in between.
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return fail_errno("cannot make a pipe", errno);
  WakeUp wake_up{UniqueFd(ends[0]), UniqueFd(ends[1])};
  for (int end : ends) {
    if (::fcntl(end, F_SETFD, FD_CLOEXEC) != 0 || ::fcntl(end, F_SETFL, O_NONBLOCK) != 0) {
      return fail_errno("cannot set up a pipe", errno);
    }
  }
  return wake_up;
}

void WakeUp::raise() const {
  // Tried again, since who waits for a flag that was lost may wait for ever: a pipe's memory is the
  // kernel's, which a memory cgroup can refuse.
  constexpr int kAttempts = 100;
  for (int i = 0; i < kAttempts; i++) {
    // A full pipe is a raised flag already.
    if (::write(write_end_.get(), "", 1) == 1 || errno == EAGAIN) return;
    if (errno != EINTR) ::poll(nullptr, 0, 1);
  }
}

void WakeUp::clear() const {
  std::array<char, 64> bytes{};
  while (::read(read_end_.get(), bytes.data(), bytes.size()) ==
         static_cast<ssize_t>(bytes.size())) {
  }
}

}  // namespace vmnet
