#include "linux/device/tap.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <optional>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/parse.h"

namespace vmnet {
namespace {

constexpr std::string_view kNodePrefix = ".vmnet-helper-";
constexpr int kUeventTimeout = 2000;  // milliseconds
constexpr time_t kStaleNodeAge = 60;  // seconds; a node lives for microseconds

// Kernel headers older than 6.2 do not name the flags of UDP segmentation.
constexpr unsigned kTunUso4 = 0x20;
constexpr unsigned kTunUso6 = 0x40;
constexpr unsigned kTcpOffload = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
constexpr unsigned kUdpOffload = kTunUso4 | kTunUso6;

Status set_offload(int fd, TapOffload offload) {
  if (offload == TapOffload::kOff) {
    if (ioctl(fd, TUNSETOFFLOAD, 0U) != 0) return fail_errno("cannot set the TAP's offload", errno);
    return {};
  }
  if (ioctl(fd, TUNSETOFFLOAD, kTcpOffload | kUdpOffload) == 0) return {};
  if (ioctl(fd, TUNSETOFFLOAD, kTcpOffload) == 0) return {};  // Linux before 6.2: without UDP
  return fail_errno("cannot set the TAP's offload", errno);
}

Result<UniqueFd> open_tun() {
  UniqueFd fd(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (fd.valid()) return fd;
  return fail_errno("cannot open /dev/net/tun", errno,
                    errno == ENOENT ? "load the tun module: modprobe tun" : "");
}

Status attach(int fd, ifreq& request, short flags) {
  request.ifr_flags = flags;
  if (ioctl(fd, TUNSETIFF, &request) == 0) return {};
  return fail_errno("cannot create a TAP device (TUNSETIFF)", errno);
}

Status attach_as_tap(int fd, ifreq& request) {
  return attach(fd, request, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
}

Status set_header_size(int fd) {
  int size = kTapHeaderSize;
  if (ioctl(fd, TUNSETVNETHDRSZ, &size) != 0) {
    return fail_errno("cannot set the TAP's header size (TUNSETVNETHDRSZ)", errno);
  }
  return {};
}

// udev gives a device whose MAC is the kernel's random one another (systemd.link(5),
// MACAddressPolicy), and leaves one alone whose MAC was set (addr_assign_type 3): so it is set
// before anything else is done, while udev still has the device's event to read.
Status set_mac(int fd, ifreq request, const Mac& mac) {
  request.ifr_hwaddr = {};
  request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
  std::ranges::copy(mac.bytes, request.ifr_hwaddr.sa_data);
  if (ioctl(fd, SIOCSIFHWADDR, &request) == 0) return {};
  return fail_errno("cannot set the TAP's MAC address (SIOCSIFHWADDR)", errno);
}

// The value of "KEY=" in a uevent: strings one after the other, each with its NUL.
std::optional<std::string_view> uevent_value(std::string_view event, std::string_view key) {
  while (!event.empty()) {
    size_t end = std::min(event.find('\0'), event.size());
    std::string_view line = event.substr(0, end);
    if (line.starts_with(key) && line.size() > key.size() && line[key.size()] == '=') {
      return line.substr(key.size() + 1);
    }
    event.remove_prefix(std::min(end + 1, event.size()));
  }
  return std::nullopt;
}

// The device number in `event`, where it announces the node of the macvtap with that index.
std::optional<dev_t> node_number(std::string_view event, int index) {
  if (uevent_value(event, "ACTION") != "add" || uevent_value(event, "SUBSYSTEM") != "macvtap" ||
      uevent_value(event, "DEVNAME") != fmt::format("tap{}", index)) {
    return std::nullopt;
  }
  auto major_number = parse_unsigned<unsigned>(uevent_value(event, "MAJOR").value_or(""));
  auto minor_number = parse_unsigned<unsigned>(uevent_value(event, "MINOR").value_or(""));
  if (!major_number || !minor_number) return std::nullopt;
  return makedev(*major_number, *minor_number);
}

Result<dev_t> wait_for_node(NetlinkSocket& uevents, int index) {
  std::array<char, 8192> buffer{};
  while (true) {
    sockaddr_nl sender{};
    iovec part{.iov_base = buffer.data(), .iov_len = buffer.size()};
    msghdr message{
        .msg_name = &sender, .msg_namelen = sizeof(sender), .msg_iov = &part, .msg_iovlen = 1};
    ssize_t size = recvmsg(uevents.fd(), &message, MSG_DONTWAIT);
    if (size >= 0) {
      if (sender.nl_pid != 0) continue;  // not from the kernel
      auto number = node_number({buffer.data(), static_cast<size_t>(size)}, index);
      if (number) return *number;
      continue;
    }
    if (errno == EINTR || errno == ENOBUFS) continue;
    pollfd entry{.fd = uevents.fd(), .events = POLLIN, .revents = 0};
    if (poll(&entry, 1, kUeventTimeout) == 0) {
      return fail(
          fmt::format("cannot open macvtap {}: the kernel announced no device node", index));
    }
  }
}

}  // namespace

Result<UniqueFd> create_tap(const std::string& name, const Mac& mac, TapOffload offload) {
  auto fd = open_tun();
  if (!fd) return fd;
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  if (auto attached = attach_as_tap(fd->get(), request); !attached) return pass(attached);
  if (auto set = set_mac(fd->get(), request, mac); !set) return pass(set);
  if (auto set = set_header_size(fd->get()); !set) return pass(set);
  if (auto set = set_offload(fd->get(), offload); !set) return pass(set);
  return fd;
}

Result<UniqueFd> create_sign_of_life() {
  auto fd = open_tun();
  if (!fd) return fd;
  ifreq request{};
  const std::string name = std::string(kSignOfLifePrefix) + "%d";
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  if (auto attached = attach(fd->get(), request, IFF_TUN | IFF_NO_PI); !attached) {
    return pass(attached);
  }
  return fd;
}

// The same offload as it has, asked for once more: an older kernel refuses what it does not know.
bool knows_udp_segments(int fd) { return ioctl(fd, TUNSETOFFLOAD, kTcpOffload | kUdpOffload) == 0; }

Status set_tap_owner(int fd, uid_t user) {
  if (ioctl(fd, TUNSETOWNER, static_cast<unsigned long>(user)) != 0) {
    return fail_errno("cannot make the user the TAP's owner (TUNSETOWNER)", errno);
  }
  return {};
}

Result<NetlinkSocket> open_uevents() {
  constexpr int kKernelEvents = 1;  // the multicast group of the kernel itself; 2 is udev's
  auto uevents = NetlinkSocket::open(NETLINK_KOBJECT_UEVENT);
  if (!uevents) return uevents;
  if (auto joined = uevents->join_group(kKernelEvents); !joined) return pass(joined);
  return uevents;
}

Result<UniqueFd> open_macvtap(NetlinkSocket& uevents, int index, TapOffload offload) {
  auto number = wait_for_node(uevents, index);
  if (!number) return pass(number);
  // Only /dev can be relied on to be a file system without nodev.
  std::string path = fmt::format("/dev/{}{}", kNodePrefix, getpid());
  unlink(path.c_str());
  if (mknod(path.c_str(), S_IFCHR | 0600, *number) != 0) {
    return fail_errno(fmt::format("cannot make the device node {}", path), errno,
                      "bridged mode on a plain NIC needs CAP_MKNOD");
  }
  UniqueFd fd(open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  int open_error = errno;
  unlink(path.c_str());
  if (!fd.valid()) return fail_errno("cannot open the macvtap device", open_error);
  ifreq request{};
  if (auto attached = attach_as_tap(fd.get(), request); !attached) return pass(attached);
  if (auto set = set_header_size(fd.get()); !set) return pass(set);
  if (auto set = set_offload(fd.get(), offload); !set) return pass(set);
  return fd;
}

void remove_stale_macvtap_nodes() {
  DIR* folder = opendir("/dev");
  if (folder == nullptr) return;
  const int folder_fd = dirfd(folder);
  while (const dirent* entry = folder_fd >= 0 ? readdir(folder) : nullptr) {
    struct stat node{};
    if (!std::string_view(entry->d_name).starts_with(kNodePrefix) ||
        fstatat(folder_fd, entry->d_name, &node, AT_SYMLINK_NOFOLLOW) != 0) {
      continue;
    }
    // A young one is being opened by a helper of another network namespace.
    if (time(nullptr) - node.st_ctime > kStaleNodeAge) unlinkat(folder_fd, entry->d_name, 0);
  }
  closedir(folder);
}

}  // namespace vmnet
