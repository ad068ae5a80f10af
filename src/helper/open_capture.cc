#include "helper/open_capture.h"

#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vmnet {
namespace {

// O_NONBLOCK: a FIFO must hold nobody up, neither now nor when it is full.
constexpr int kFlags = O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;

std::unexpected<Error> refuse(const std::string& path, std::string_view why) {
  return fail(fmt::format("--capture '{}': {}", path, why));
}

std::unexpected<Error> explain(const std::string& path, int error) {
  switch (error) {
    case ENXIO:
      return refuse(path,
                    "no program reads this FIFO; start the reader first, for example "
                    "wireshark -k -i FIFO");
    case ELOOP:
      return refuse(path, "a symbolic link; give the path of the file itself");
    default:
      return fail_errno(fmt::format("--capture '{}': cannot open it", path), error);
  }
}

}  // namespace

Result<CaptureFile> open_capture_file(const std::string& path, int start_directory) {
  CaptureFile file;
  file.fd.reset(::openat(start_directory, path.c_str(), kFlags));
  if (!file.fd.valid() && errno == ENOENT) {
    mode_t saved = ::umask(0177);
    file.fd.reset(::openat(start_directory, path.c_str(), kFlags | O_CREAT | O_EXCL, 0600));
    int error = errno;
    ::umask(saved);
    errno = error;
    file.made = file.fd.valid();
  }
  if (!file.fd.valid()) return explain(path, errno);
  struct stat status{};
  if (::fstat(file.fd.get(), &status) != 0) {
    return fail_errno(fmt::format("--capture '{}': cannot inspect it", path), errno);
  }
  if (S_ISFIFO(status.st_mode)) return file;
  if (!S_ISREG(status.st_mode)) return refuse(path, "neither a file nor a FIFO");
  if (status.st_size != 0) {
    return refuse(path, "there is something in it already; remove it or choose another name");
  }
  return file;
}

void discard_capture_file(const std::string& path, int start_directory, const CaptureFile& file) {
  struct stat ours{};
  struct stat named{};
  if (!file.made || ::fstat(file.fd.get(), &ours) != 0 || ours.st_size != 0) return;
  if (::fstatat(start_directory, path.c_str(), &named, AT_SYMLINK_NOFOLLOW) != 0) return;
  if (named.st_dev == ours.st_dev && named.st_ino == ours.st_ino) {
    ::unlinkat(start_directory, path.c_str(), 0);
  }
}

}  // namespace vmnet
