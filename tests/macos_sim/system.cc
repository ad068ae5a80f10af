// The rest of the system: version, symbols, signals, processes, datagrams.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string>
#include <system_error>
#include <vector>

#include <dirent.h>
#include <dlfcn.h>
#include <libproc.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/event.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysctl.h>
#include <unistd.h>
#undef dlsym
#undef getpeername

#include "rules.h"
#include "settings.h"

using namespace macos_sim;

int sysctlbyname(const char* name, void* old_value, size_t* old_size, void* /*new_value*/,
                 size_t /*new_size*/) {
  std::string version = setting("version", "26.0");
  if (std::strcmp(name, "kern.osproductversion") != 0 || version == "none") {
    errno = ENOENT;
    return -1;
  }
  require(*old_size > version.size(), "a buffer too small for the version");
  std::memcpy(old_value, version.c_str(), version.size() + 1);
  *old_size = version.size() + 1;
  return 0;
}

void* macos_sim_dlsym(void* handle, const char* name) {
  auto missing = list_setting("missing");
  if (std::ranges::find(missing, name) != missing.end()) return nullptr;
  return ::dlsym(handle, name);
}

int kqueue() { return ::epoll_create1(0); }

int kevent(int queue, const struct kevent* changes, int change_count, struct kevent* events,
           int event_count, const struct timespec* timeout) {
  for (int i = 0; i < change_count; i++) {
    require(changes[i].filter == EVFILT_SIGNAL && changes[i].flags == EV_ADD, "an unknown event");
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, static_cast<int>(changes[i].ident));
    int fd = ::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    if (fd < 0 || ::epoll_ctl(queue, EPOLL_CTL_ADD, fd, &event) != 0) return -1;
  }
  if (event_count == 0) return 0;
  require(timeout != nullptr && timeout->tv_sec == 0 && timeout->tv_nsec == 0, "a wait in kevent");
  epoll_event ready{};
  if (::epoll_wait(queue, &ready, 1, 0) != 1) return 0;
  signalfd_siginfo info{};
  if (::read(ready.data.fd, &info, sizeof(info)) != static_cast<ssize_t>(sizeof(info))) return 0;
  events[0] = {};
  events[0].ident = info.ssi_signo;
  events[0].filter = EVFILT_SIGNAL;
  return 1;
}

namespace {

// The entries of a folder that are numbers.
std::vector<int> numbers_in(const char* folder) {
  std::vector<int> numbers;
  DIR* directory = ::opendir(folder);
  if (directory == nullptr) return numbers;
  int own = ::dirfd(directory);
  while (const dirent* entry = ::readdir(directory)) {
    int number = 0;
    const char* end = entry->d_name + std::strlen(entry->d_name);
    auto [rest, error] = std::from_chars(entry->d_name, end, number);
    if (error == std::errc() && rest == end && number != own) numbers.push_back(number);
  }
  ::closedir(directory);
  return numbers;
}

int list_descriptors(void* buffer, int size) {
  std::vector<proc_fdinfo> entries;
  for (int fd : numbers_in("/proc/self/fd")) entries.push_back({.proc_fd = fd, .proc_fdtype = 1});
  auto bytes = static_cast<int>(entries.size() * sizeof(proc_fdinfo));
  if (buffer == nullptr) return bytes + 32 * static_cast<int>(sizeof(proc_fdinfo));
  bytes = std::min(bytes, size);
  std::memcpy(buffer, entries.data(), static_cast<size_t>(bytes));
  return bytes;
}

int describe_process(int pid, void* buffer, int size) {
  require(size == static_cast<int>(sizeof(proc_bsdinfo)), "a buffer of another size");
  std::string path = "/proc/" + std::to_string(pid) + "/stat";
  FILE* file = std::fopen(path.c_str(), "r");
  if (file == nullptr) return 0;
  proc_bsdinfo info{
      .pbi_status = 2, .pbi_pid = static_cast<uint32_t>(pid), .pbi_ppid = 0, .pbi_pgid = 0};
  char state = 0;
  int read = std::fscanf(file, "%*d (%*[^)]) %c %u %u", &state, &info.pbi_ppid, &info.pbi_pgid);
  std::fclose(file);
  if (read != 3) return 0;
  if (state == 'Z') info.pbi_status = 5;
  std::memcpy(buffer, &info, sizeof(info));
  return size;
}

}  // namespace

int proc_listallpids(void* buffer, int size) {
  auto pids = numbers_in("/proc");
  if (buffer == nullptr) return static_cast<int>(pids.size());
  size_t count = std::min(pids.size(), static_cast<size_t>(size) / sizeof(int));
  std::memcpy(buffer, pids.data(), count * sizeof(int));
  return static_cast<int>(count);
}

int proc_pidinfo(int pid, int flavor, uint64_t /*argument*/, void* buffer, int size) {
  if (flavor == PROC_PIDLISTFDS && pid == ::getpid()) return list_descriptors(buffer, size);
  require(flavor == PROC_PIDTBSDINFO, "an unknown flavor of proc_pidinfo");
  return describe_process(pid, buffer, size);
}

int proc_pidpath(int pid, void* buffer, uint32_t size) {
  std::string path = "/proc/" + std::to_string(pid) + "/exe";
  return static_cast<int>(::readlink(path.c_str(), static_cast<char*>(buffer), size));
}

namespace {

// Whether unix_diag says that the socket has a peer; true where it cannot be asked.
bool has_peer(int socket) {
  struct stat status{};
  ::fstat(socket, &status);
  struct {
    nlmsghdr header;
    unix_diag_req request;
  } question{};
  question.header = {.nlmsg_len = sizeof(question),
                     .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                     .nlmsg_flags = NLM_F_REQUEST,
                     .nlmsg_seq = 1,
                     .nlmsg_pid = 0};
  question.request.sdiag_family = AF_UNIX;
  question.request.udiag_states = ~0U;
  question.request.udiag_ino = static_cast<uint32_t>(status.st_ino);
  question.request.udiag_show = UDIAG_SHOW_PEER;
  question.request.udiag_cookie[0] = question.request.udiag_cookie[1] = ~0U;
  int diag = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  alignas(nlmsghdr) char answer[1024] = {};
  ssize_t size = -1;
  if (::send(diag, &question, sizeof(question), 0) > 0) {
    size = ::recv(diag, answer, sizeof(answer), MSG_DONTWAIT);
  }
  ::close(diag);
  auto* header = reinterpret_cast<nlmsghdr*>(answer);
  if (size <= 0 || header->nlmsg_type != SOCK_DIAG_BY_FAMILY) return true;
  // The peer's inode is the one attribute asked for: 4 bytes header, 4 bytes inode.
  size_t at = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(unix_diag_msg));
  uint32_t peer = 0;
  if (static_cast<size_t>(size) >= at + 8) std::memcpy(&peer, answer + at + 4, sizeof(peer));
  return peer != 0;
}

struct Message {
  msghdr header;
  size_t length;
};

void require_message(const Message& message, int flags) {
  require(flags == MSG_DONTWAIT, "flags of recvmsg_x or sendmsg_x");
  require(message.header.msg_name == nullptr && message.header.msg_namelen == 0 &&
              message.header.msg_control == nullptr && message.header.msg_controllen == 0,
          "a name or control field of recvmsg_x or sendmsg_x");
}

int fault_errno(const char* key) { return static_cast<int>(next_fault(key)); }

std::atomic<int> full_sends = 0;  // in a row

ssize_t no_room() {
  require(++full_sends <= kMaxTries, "a send into a full queue that is tried too often");
  errno = ENOBUFS;
  return -1;
}

}  // namespace

// Looked up: to this file as well, socket() is the simulated one.
extern "C" int macos_sim_socket(int domain, int type, int protocol) noexcept {
  using Socket = int(int, int, int);
  static auto* real = reinterpret_cast<Socket*>(::dlsym(RTLD_DEFAULT, "socket"));
  if (domain != AF_UNIX || type != SOCK_SEQPACKET) return real(domain, type, protocol);
  errno = EPROTONOSUPPORT;
  return -1;
}

int macos_sim_getpeername(int socket, struct sockaddr* address, socklen_t* size) {
  if (::getpeername(socket, address, size) != 0) return -1;
  if (has_peer(socket)) return 0;
  errno = ENOTCONN;
  return -1;
}

extern "C" int getpeereid(int socket, uid_t* uid, gid_t* gid) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return -1;
  *uid = peer.uid;
  *gid = peer.gid;
  return 0;
}

extern "C" ssize_t recvmsg_x(int socket, Message* messages, unsigned count, int flags) {
  if (int fault = fault_errno("recvmsg_x.errno")) {
    errno = fault;
    return -1;
  }
  unsigned taken = 0;
  for (; taken < count; taken++) {
    require_message(messages[taken], flags);
    ssize_t size = ::recvmsg(socket, &messages[taken].header, MSG_DONTWAIT);
    if (size < 0 && taken == 0) return -1;
    if (size < 0) break;
    messages[taken].length = static_cast<size_t>(size);
  }
  return taken;
}

extern "C" ssize_t sendmsg_x(int socket, const Message* messages, unsigned count, int flags) {
  if (int fault = fault_errno("sendmsg_x.errno")) {
    if (fault == ENOBUFS) return no_room();
    errno = fault;
    return -1;
  }
  unsigned sent = 0;
  for (; sent < count; sent++) {
    require_message(messages[sent], flags);
    if (::sendmsg(socket, &messages[sent].header, MSG_DONTWAIT) >= 0) continue;
    if (errno == EAGAIN) errno = ENOBUFS;
    if (sent == 0) return -1;
    break;
  }
  full_sends = 0;
  return sent;
}
