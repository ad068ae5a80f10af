#include "platform/socket_files.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/result.h"

namespace vmnet {
namespace {

// Calls until the answer is not that a signal came.
template <typename Call>
int uninterrupted(const Call& call) {
  int result = 0;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

// Removes the file of that name if it is still that inode.
void remove_file(int directory, const std::string& name, dev_t device, ino_t inode) {
  struct stat found{};
  int result = uninterrupted(
      [&] { return ::fstatat(directory, name.c_str(), &found, AT_SYMLINK_NOFOLLOW); });
  if (result == 0) {
    if (found.st_dev != device || found.st_ino != inode) return;
    result = uninterrupted([&] { return ::unlinkat(directory, name.c_str(), 0); });
  }
  if (result == 0 || errno == ENOENT) return;
  log_warn("socket", "cannot remove {}: {}; the next helper with that path does", escaped(name),
           errno_text(errno));
}

}  // namespace

void remove_socket_files(const SocketFiles& files) {
  if (!files.directory.valid()) return;
  int directory = files.directory.get();
  if (files.socket_inode != 0) {
    remove_file(directory, files.socket_name, files.socket_device, files.socket_inode);
  }
  // Last: until then no other helper touches the socket's name.
  struct stat lock{};
  if (!files.lock.valid()) return;
  if (uninterrupted([&] { return ::fstat(files.lock.get(), &lock); }) != 0) {
    log_warn("socket", "cannot remove {}: {}; the next helper with that path does",
             escaped(files.lock_name), errno_text(errno));
    return;
  }
  remove_file(directory, files.lock_name, lock.st_dev, lock.st_ino);
}

}  // namespace vmnet
