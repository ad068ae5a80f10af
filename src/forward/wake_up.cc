#include "forward/wake_up.h"

#include <array>
#include <cerrno>

#include <fcntl.h>
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
  // A full pipe is a raised flag already.
  [[maybe_unused]] ssize_t written = ::write(write_end_.get(), "", 1);
}

void WakeUp::clear() const {
  std::array<char, 64> bytes{};
  while (::read(read_end_.get(), bytes.data(), bytes.size()) ==
         static_cast<ssize_t>(bytes.size())) {
  }
}

}  // namespace vmnet
