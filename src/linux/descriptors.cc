#include "platform/descriptors.h"

#include <algorithm>
#include <cerrno>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

namespace vmnet {

Status close_descriptors_but(int first, std::span<const int> kept) {
  std::vector<unsigned> stops;
  for (int fd : kept) {
    if (fd >= first) stops.push_back(static_cast<unsigned>(fd));
  }
  std::ranges::sort(stops);
  stops.push_back(~0U);
  auto next = static_cast<unsigned>(first);
  for (unsigned stop : stops) {
    // close_range: Linux 5.9, which the keeper's nftables owner flag (5.12) implies.
    if (next < stop && ::close_range(next, stop - 1, 0) != 0) {
      return fail_errno("cannot close inherited descriptors", errno);
    }
    next = stop + 1;
  }
  return {};
}

UniqueFd open_folder(int directory, const char* path) {
  return UniqueFd(::openat(directory, path, O_PATH | O_DIRECTORY | O_CLOEXEC));
}

UniqueFd hold_working_directory() { return open_folder(AT_FDCWD, "."); }

}  // namespace vmnet
