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

// Removes the file of that name if it is ours.
template <typename Check>
void remove_file(int directory, const std::string& name, const Check& check) {
  struct stat found{};
  int result = uninterrupted(
      [&] { return ::fstatat(directory, name.c_str(), &found, AT_SYMLINK_NOFOLLOW); });
  if (result == 0) {
    if (!check(found)) return;
    result = uninterrupted([&] { return ::unlinkat(directory, name.c_str(), 0); });
  }
  if (result == 0 || errno == ENOENT) return;
  log_warn("socket", "cannot remove {}: {}; the next helper with that path does", escaped(name),
           errno_text(errno));
}

bool may_exist(const SocketFile& socket) {
  return socket.state == SocketFile::State::kBeingMade || socket.state == SocketFile::State::kMade;
}

bool is_ours(const struct stat& found, const SocketFile& socket, uid_t owner) {
  if (socket.state == SocketFile::State::kMade) {
    return found.st_dev == socket.device && found.st_ino == socket.inode;
  }
  return S_ISSOCK(found.st_mode) && found.st_uid == owner;
}

}  // namespace

void remove_socket_files(const SocketFiles& files, const SocketFile& socket) {
  if (!files.directory.valid()) return;
  int directory = files.directory.get();
  if (may_exist(socket)) {
    remove_file(directory, files.socket_name,
                [&](const struct stat& found) { return is_ours(found, socket, files.owner); });
  }
  // Last: until then no other helper touches the socket's name.
  struct stat lock{};
  if (!files.lock.valid()) return;
  if (uninterrupted([&] { return ::fstat(files.lock.get(), &lock); }) != 0) {
    log_warn("socket", "cannot remove {}: {}; the next helper with that path does",
             escaped(files.lock_name), errno_text(errno));
    return;
  }
  remove_file(directory, files.lock_name, [&](const struct stat& found) {
    return found.st_dev == lock.st_dev && found.st_ino == lock.st_ino;
  });
}

}  // namespace vmnet
