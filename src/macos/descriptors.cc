// macOS has no close_range, and no O_PATH.
#include "platform/descriptors.h"

#include <algorithm>
#include <cerrno>
#include <vector>

#include <fcntl.h>
#include <libproc.h>
#include <unistd.h>

namespace vmnet {

Status close_descriptors_but(int first, std::span<const int> kept) {
  constexpr const char* kWhat = "cannot close inherited descriptors";
  // Not up to the limit of open files: one that was lowered since leaves descriptors above it.
  int size = ::proc_pidinfo(::getpid(), PROC_PIDLISTFDS, 0, nullptr, 0);
  if (size <= 0) return fail_errno(kWhat, errno);
  std::vector<proc_fdinfo> entries(static_cast<size_t>(size) / sizeof(proc_fdinfo));
  size = ::proc_pidinfo(::getpid(), PROC_PIDLISTFDS, 0, entries.data(), size);
  if (size <= 0) return fail_errno(kWhat, errno);
  entries.resize(std::min(entries.size(), static_cast<size_t>(size) / sizeof(proc_fdinfo)));
  for (const proc_fdinfo& entry : entries) {
    bool keep = entry.proc_fd < first || std::ranges::find(kept, entry.proc_fd) != kept.end();
    if (!keep) ::close(entry.proc_fd);
  }
  return {};
}

UniqueFd open_folder(int directory, const char* path) {
  return UniqueFd(::openat(directory, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

UniqueFd hold_working_directory() { return open_folder(AT_FDCWD, "."); }

}  // namespace vmnet
