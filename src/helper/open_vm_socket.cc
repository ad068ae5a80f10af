#include "helper/open_vm_socket.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "platform/datagrams.h"
#include "platform/descriptors.h"

namespace vmnet {
namespace {

// Locking is tried again when the lock file was removed by its last holder at that very moment.
constexpr int kMaxLockAttempts = 100;

constexpr size_t kMaxSocketPath = sizeof(sockaddr_un::sun_path) - 1;

std::optional<int> integer_option(int socket, int option) {
  int value = 0;
  socklen_t size = sizeof(value);
  if (::getsockopt(socket, SOL_SOCKET, option, &value, &size) != 0) return std::nullopt;
  return value;
}

// For the whole of a function: files get exactly the mode they are made with.
class ScopedUmask {
 public:
  explicit ScopedUmask(mode_t mask) : saved_(::umask(mask)) {}
  ScopedUmask(const ScopedUmask&) = delete;
  ScopedUmask& operator=(const ScopedUmask&) = delete;
  ~ScopedUmask() { ::umask(saved_); }

 private:
  mode_t saved_;
};

// The path taken apart: the folder, opened, and the names in it.
Result<SocketFiles> find_files(const std::string& path, int start_directory) {
  size_t slash = path.rfind('/');
  std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (name.empty() || name == "." || name == "..") {
    return fail(fmt::format("--socket '{}': not the path of a file", path));
  }
  if (name.size() > kMaxSocketPath) {
    return fail(
        fmt::format("--socket '{}': the name is longer than the {} bytes of a socket's name", path,
                    kMaxSocketPath));
  }
  UniqueFd directory = open_folder(start_directory, folder.c_str());
  if (!directory.valid()) {
    return fail_errno(fmt::format("--socket '{}': cannot open its folder", path), errno,
                      "the folder must exist and be the user's to enter and to write to");
  }
  SocketFiles files;
  files.directory = std::move(directory);
  files.lock_name = name + ".lock";
  files.socket_name = std::move(name);
  files.owner = ::geteuid();
  return files;
}

bool same_inode(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

// Opens and locks the lock file; std::nullopt: it vanished meanwhile, try again.
Result<std::optional<UniqueFd>> try_lock(const SocketFiles& files, const std::string& path) {
  int directory = files.directory.get();
  // O_NONBLOCK: a FIFO of that name must not hold us up.
  UniqueFd lock(::openat(directory, files.lock_name.c_str(),
                         O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600));
  if (!lock.valid()) {
    return fail_errno(fmt::format("--socket '{0}': cannot open its lock file '{0}.lock'", path),
                      errno, "choose another path");
  }
  struct stat held{};
  if (::fstat(lock.get(), &held) != 0) {
    return fail_errno(fmt::format("--socket '{0}': cannot inspect '{0}.lock'", path), errno);
  }
  if (!S_ISREG(held.st_mode) || held.st_uid != ::geteuid() || held.st_size != 0) {
    return fail(
        fmt::format("--socket '{0}': '{0}.lock' is not a lock file of this user; "
                    "choose another path",
                    path));
  }
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      return fail_errno(fmt::format("--socket '{0}': cannot lock '{0}.lock'", path), errno);
    }
    return fail(
        fmt::format("--socket '{0}': another vmnet-helper serves this path "
                    "(it holds '{0}.lock'); choose another path",
                    path));
  }
  // The last holder may have removed the file between our open and our lock: then we hold a file
  // that nobody else will find.
  struct stat named{};
  if (::fstatat(directory, files.lock_name.c_str(), &named, AT_SYMLINK_NOFOLLOW) != 0 ||
      !same_inode(held, named)) {
    return std::nullopt;
  }
  return lock;
}

Result<UniqueFd> take_lock(const SocketFiles& files, const std::string& path) {
  for (int attempt = 0; attempt < kMaxLockAttempts; attempt++) {
    auto lock = try_lock(files, path);
    if (!lock) return pass(lock);
    if (*lock) return std::move(**lock);
  }
  return fail(fmt::format("--socket '{0}': '{0}.lock' keeps vanishing; try again", path));
}

// The socket's address as bind() and connect() want it: the user's path, from where that starts;
// or, where that is longer than an address may be, its last part, from the folder.
struct Address {
  explicit Address(const VmSocketPlace& place)
      : directory(place.path.size() <= kMaxSocketPath ? place.start_directory
                                                      : place.files.directory.get()) {
    socket_address.sun_family = AF_UNIX;
    const std::string& text =
        place.path.size() <= kMaxSocketPath ? place.path : place.files.socket_name;
    text.copy(socket_address.sun_path, kMaxSocketPath);
  }

  bool is_relative() const { return socket_address.sun_path[0] != '/'; }

  int directory;
  sockaddr_un socket_address{};
};

bool is_working_directory(int directory) {
  struct stat given{};
  struct stat here{};
  return ::fstat(directory, &given) == 0 && ::stat(".", &here) == 0 && same_inode(given, here);
}

// Calls bind() or connect() from the working directory that gives `address` its meaning.
Status call_with(int (*call)(int, const sockaddr*, socklen_t), int socket, const Address& address,
                 const std::string& what) {
  UniqueFd here;
  if (address.is_relative() && !is_working_directory(address.directory)) {
    here = hold_working_directory();
    if (!here.valid() || ::fchdir(address.directory) != 0) {
      return fail_errno(what + ": cannot change the working directory", errno);
    }
  }
  int result = call(socket, reinterpret_cast<const sockaddr*>(&address.socket_address),
                    sizeof(address.socket_address));
  int error = errno;
  if (here.valid() && ::fchdir(here.get()) != 0) {
    return fail_errno(what + ": cannot return to the working directory", errno);
  }
  if (result != 0) return fail_errno(what, error);
  return {};
}

Result<UniqueFd> make_unix_socket(int type) {
  // SOCK_CLOEXEC is not on every platform; no thread forks in between.
  UniqueFd socket(::socket(AF_UNIX, type, 0));
  if (!socket.valid() || ::fcntl(socket.get(), F_SETFD, FD_CLOEXEC) != 0) {
    return fail_errno("cannot make a socket", errno);
  }
  return socket;
}

// Removes a socket of this user that nobody holds. With the lock held, so it is no helper's.
Status clear_the_way(const VmSocketPlace& place) {
  const auto& [path, start_directory, files] = place;
  int directory = files.directory.get();
  struct stat status{};
  if (::fstatat(directory, files.socket_name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return {};
    return fail_errno(fmt::format("--socket '{}': cannot inspect it", path), errno);
  }
  if (!S_ISSOCK(status.st_mode)) {
    return fail(
        fmt::format("--socket '{}': something that is no socket is in the way; remove it "
                    "or choose another path",
                    path));
  }
  if (status.st_uid != ::geteuid()) {
    return fail(
        fmt::format("--socket '{}': the socket of another user (uid {}) is in the way; "
                    "choose another path",
                    path, status.st_uid));
  }
  // To one that listens for streams this is no connection (EPROTOTYPE), so it is not disturbed.
  auto probe = make_unix_socket(SOCK_DGRAM);
  if (!probe) return pass(probe);
  auto connected = call_with(::connect, probe->get(), Address(place), "connect");
  // ECONNREFUSED: bound once, but by nobody any more.
  if (connected || connected.error().os_errno != ECONNREFUSED) {
    return fail(fmt::format(
        "--socket '{}': a program is using this socket; end it or choose another path", path));
  }
  if (::unlinkat(directory, files.socket_name.c_str(), 0) != 0) {
    return fail_errno(fmt::format("--socket '{}': cannot remove the old socket", path), errno);
  }
  return {};
}

// The queue is for who comes while the last client's end is not seen yet.
Status listen_for_streams(int socket, const std::string& path) {
  constexpr int kQueue = 16;
  if (::listen(socket, kQueue) == 0 && ::fcntl(socket, F_SETFL, O_NONBLOCK) == 0) return {};
  return fail_errno(fmt::format("--socket '{}': cannot listen on it", path), errno);
}

Status take_place(UnboundVmSocket& vm, SocketType type) {
  auto lock = take_lock(vm.place.files, vm.place.path);
  if (!lock) return pass(lock);
  vm.place.files.lock = std::move(*lock);
  if (auto clear = clear_the_way(vm.place); !clear) return clear;
  const bool stream = type == SocketType::kStream;
  auto socket = make_unix_socket(stream ? SOCK_STREAM : SOCK_DGRAM);
  if (!socket) return pass(socket);
  vm.socket = std::move(*socket);
  // Before the first client can send: a datagram's credentials decide whether it is served.
  return stream ? Status() : identify_senders(vm.socket.get(), true);
}

}  // namespace

namespace {

std::string_view name_of(int type) {
  switch (type) {
    case SOCK_DGRAM:
      return "dgram";
    case SOCK_SEQPACKET:
      return "seqpacket";
    case SOCK_STREAM:
      return "stream";
    default:
      return "another type";
  }
}

Result<SocketType> check_type(int fd, std::optional<SocketType> wanted) {
  int type = integer_option(fd, SO_TYPE).value_or(-1);
  if (type != SOCK_DGRAM && type != SOCK_SEQPACKET && type != SOCK_STREAM) {
    return fail(
        fmt::format("--fd {}: make it of type SOCK_DGRAM, SOCK_SEQPACKET or SOCK_STREAM", fd));
  }
  auto found = type == SOCK_STREAM ? SocketType::kStream : SocketType::kDatagram;
  if (wanted && *wanted != found) {
    return fail(fmt::format(
        "--socket-type {}: the socket of --fd {} is of type {}; leave the option out or make "
        "another socket",
        *wanted == SocketType::kStream ? "stream" : "dgram", fd, name_of(type)));
  }
  return found;
}

}  // namespace

Result<AdoptedVmSocket> adopt_vm_socket(int fd, std::optional<SocketType> wanted) {
  if (fd < 0) return fail(fmt::format("--fd {}: not a descriptor", fd));
  if (fd == STDOUT_FILENO || fd == STDERR_FILENO) {
    return fail(
        fmt::format("--fd {}: standard output and standard error are the helper's own", fd));
  }
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    if (errno == EBADF) return fail(fmt::format("--fd {}: no such open descriptor", fd));
    return fail_errno(fmt::format("--fd {}: not a socket", fd), errno);
  }
  if (address.ss_family != AF_UNIX) return fail(fmt::format("--fd {}: not an AF_UNIX socket", fd));
  auto type = check_type(fd, wanted);
  if (!type) return pass(type);
  size = sizeof(address);
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return fail_errno(fmt::format("--fd {}: the socket is not connected", fd), errno,
                      "give one end of a socketpair");
  }
  if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
    return fail_errno(fmt::format("--fd {}: cannot set close-on-exec", fd), errno);
  }
  return AdoptedVmSocket{.socket = UniqueFd(fd), .type = *type};
}

Result<UnboundVmSocket> take_vm_socket_place(const std::string& path, int start_directory,
                                             SocketType type) {
  if (path.empty()) return fail("--socket: the path is empty");
  auto files = find_files(path, start_directory);
  if (!files) return pass(files);
  UnboundVmSocket vm{
      .socket = {},
      .place = {.path = path, .start_directory = start_directory, .files = std::move(*files)}};
  ScopedUmask exactly_the_user(0177);
  if (auto taken = take_place(vm, type); !taken) {
    remove_socket_files(vm.place.files, {});
    return pass(taken);
  }
  return vm;
}

Status bind_vm_socket(int socket, const VmSocketPlace& place, SocketType type,
                      const SocketFileNews& news) {
  if (auto told = news({.state = SocketFile::State::kBeingMade}); !told) return told;
  ScopedUmask exactly_the_user(0177);
  std::string what = fmt::format("--socket '{}': cannot bind it", place.path);
  if (auto bound = call_with(::bind, socket, Address(place), what); !bound) {
    // Made by another program of the user's meanwhile, and its own.
    if (bound.error().os_errno == EADDRINUSE) (void)news({.state = SocketFile::State::kGivenUp});
    return bound;
  }
  struct stat made{};
  if (::fstatat(place.files.directory.get(), place.files.socket_name.c_str(), &made,
                AT_SYMLINK_NOFOLLOW) != 0) {
    return fail_errno(fmt::format("--socket '{}': cannot inspect it", place.path), errno);
  }
  auto told =
      news({.state = SocketFile::State::kMade, .device = made.st_dev, .inode = made.st_ino});
  if (!told) return told;
  return type == SocketType::kStream ? listen_for_streams(socket, place.path) : Status();
}

}  // namespace vmnet
