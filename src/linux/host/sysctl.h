// Kernel settings of the caller's network namespace, under /proc/sys/net (which shows the reader's
// own namespace, whatever /proc was mounted in). What a moment later may work, the process being
// interrupted or short of memory or of descriptors, is tried again for a moment.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace vmnet {

// `path` below /proc/sys/net: "ipv4/conf/eth0/forwarding". ENOENT where the kernel has no such one.
Result<int> read_sysctl(const std::string& path);

// Of two numbers, as "ipv4/ip_local_port_range" has them.
Result<std::pair<int, int>> read_sysctl_range(const std::string& path);

// ROOT: `path` is built of our constants and the name of a device that exists (a device name holds
// no '/', and "." and ".." are none: dev_valid_name).
Status write_sysctl(const std::string& path, int value);

// Writes only where the value differs: toggling a forwarding switch has effects of its own.
Status ensure_sysctl(const std::string& path, int value);

// The names under a folder of settings: the devices in "ipv6/conf", "all" and "default" included.
Result<std::vector<std::string>> list_sysctl_folder(const std::string& path);

}  // namespace vmnet
