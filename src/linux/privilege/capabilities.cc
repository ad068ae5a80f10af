#include "linux/privilege/capabilities.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/unique_fd.h"

namespace vmnet {
namespace {

std::string_view name_of(int capability) {
  switch (capability) {
    case CAP_NET_ADMIN:
      return "CAP_NET_ADMIN";
    case CAP_NET_RAW:
      return "CAP_NET_RAW";
    case CAP_SETGID:
      return "CAP_SETGID";
    case CAP_SETUID:
      return "CAP_SETUID";
    case CAP_SYS_ADMIN:
      return "CAP_SYS_ADMIN";
    case CAP_MKNOD:
      return "CAP_MKNOD";
    case CAP_DAC_OVERRIDE:
      return "CAP_DAC_OVERRIDE";
    default:
      return "another capability";
  }
}

uint64_t join(uint32_t low, uint32_t high) { return low | (uint64_t{high} << 32); }

void put(CapabilitySet set, uint32_t& low, uint32_t& high) {
  low = static_cast<uint32_t>(set);
  high = static_cast<uint32_t>(set >> 32);
}

}  // namespace

CapabilitySet capability_set(std::initializer_list<int> capabilities) {
  CapabilitySet set = 0;
  for (int capability : capabilities) set |= CapabilitySet{1} << capability;
  return set;
}

Result<CapabilitySets> read_capabilities() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, 2> data{};
  if (syscall(SYS_capget, &header, data.data()) != 0) {
    return fail_errno("cannot read the process's capabilities", errno);
  }
  return CapabilitySets{.effective = join(data[0].effective, data[1].effective),
                        .permitted = join(data[0].permitted, data[1].permitted),
                        .inheritable = join(data[0].inheritable, data[1].inheritable)};
}

Status write_capabilities(const CapabilitySets& sets) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, 2> data{};
  put(sets.effective, data[0].effective, data[1].effective);
  put(sets.permitted, data[0].permitted, data[1].permitted);
  put(sets.inheritable, data[0].inheritable, data[1].inheritable);
  if (syscall(SYS_capset, &header, data.data()) != 0) {
    return fail_errno("cannot change the process's capabilities", errno);
  }
  return {};
}

void drop_bounding_and_ambient() {
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++) {
    prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  }
}

std::string missing_capabilities(std::initializer_list<int> wanted) {
  auto sets = read_capabilities();
  std::string missing;
  for (int capability : wanted) {
    if (sets && (sets->effective & capability_set({capability})) != 0) continue;
    if (!missing.empty()) missing += ", ";
    missing += name_of(capability);
  }
  return missing;
}

std::string_view why_no_groups() {
  UniqueFd file(open("/proc/self/setgroups", O_RDONLY | O_CLOEXEC));
  std::array<char, 16> text{};
  const ssize_t size = file.valid() ? read(file.get(), text.data(), text.size()) : 0;
  const std::string_view said(text.data(), static_cast<size_t>(std::max<ssize_t>(size, 0)));
  if (!said.starts_with("deny")) return "it needs CAP_SETGID";
  return "this user namespace lets nobody change groups (/proc/self/setgroups says deny); make it "
         "with a range of groups from /etc/subgid, as `unshare --map-auto --map-root-user` and "
         "podman do";
}

}  // namespace vmnet
