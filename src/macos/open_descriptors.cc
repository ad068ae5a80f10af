#include "macos/open_descriptors.h"

#include <algorithm>
#include <vector>

#include <libproc.h>
#include <unistd.h>

namespace vmnet {

bool close_descriptors_but(int first, std::span<const int> kept) {
  // Not up to the limit of open files: one that was lowered since leaves descriptors above it.
  int size = ::proc_pidinfo(::getpid(), PROC_PIDLISTFDS, 0, nullptr, 0);
  if (size <= 0) return false;
  std::vector<proc_fdinfo> entries(static_cast<size_t>(size) / sizeof(proc_fdinfo));
  size = ::proc_pidinfo(::getpid(), PROC_PIDLISTFDS, 0, entries.data(), size);
  if (size <= 0) return false;
  entries.resize(std::min(entries.size(), static_cast<size_t>(size) / sizeof(proc_fdinfo)));
  for (const proc_fdinfo& entry : entries) {
    bool keep = entry.proc_fd < first || std::ranges::find(kept, entry.proc_fd) != kept.end();
    if (!keep) ::close(entry.proc_fd);
  }
  return true;
}

}  // namespace vmnet
