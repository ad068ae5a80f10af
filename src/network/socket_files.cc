#include "network/socket_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vmnet {
namespace {

bool is_inode(int directory, const std::string& name, dev_t device, ino_t inode) {
  struct stat status{};
  return ::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
         status.st_dev == device && status.st_ino == inode;
}

}  // namespace

void remove_socket_files(const SocketFiles& files) {
  if (!files.directory.valid()) return;
  int directory = files.directory.get();
  if (files.socket_inode != 0 &&
      is_inode(directory, files.socket_name, files.socket_device, files.socket_inode)) {
    ::unlinkat(directory, files.socket_name.c_str(), 0);
  }
  // Last: until then no other helper touches the socket's name.
  struct stat lock{};
  if (files.lock.valid() && ::fstat(files.lock.get(), &lock) == 0 &&
      is_inode(directory, files.lock_name, lock.st_dev, lock.st_ino)) {
    ::unlinkat(directory, files.lock_name.c_str(), 0);
  }
}

}  // namespace vmnet
