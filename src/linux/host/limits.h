// What users may ask for: the limits that hold by themselves, and those of the administrator's
// file, vmnet-helper.conf(5). They bind every user but root, who could change the file.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "base/ip.h"
#include "base/result.h"
#include "base/uuid.h"
#include "platform/config.h"

namespace vmnet {

inline constexpr const char* kLimitsFile = "/etc/vmnet-helper.conf";

struct Limits {
  int largest_subnet = 20;                                    // prefix length
  std::optional<std::vector<Ipv4Subnet>> subnets;             // none given: all private ones
  std::optional<std::vector<std::string>> shared_interfaces;  // none given: all of the host's
  unsigned networks_per_user = 8;
  // Networks of everybody's; also for root.
  std::vector<Uuid> shared_network_ids;
  std::vector<std::string> shared_networks;  // names, in lower case

  bool operator==(const Limits&) const = default;
};

// The text of such a file. An error names the line: "line 3: ...". Pure.
Result<Limits> parse_limits(std::string_view text);

// Of the file, or those that hold without one. An error where it is not root's alone to write, or
// cannot be understood: it names the file. ROOT: reads it, 64 KiB at most; the path is fixed.
Result<Limits> read_limits();

// Whether `user` may ask for that; the error says what may be.
Status check_request(const NetworkConfig& config, uid_t user, const Limits& limits);

// Whether `user`, whose VMs are in so many networks, may make one more.
Status check_network_count(uid_t user, size_t networks, const Limits& limits);

// Whether a subnet that is chosen for `user` may be this one.
bool may_use_subnet(uid_t user, const Ipv4Subnet& subnet, const Limits& limits);

// Whose the network is that `user` gives that id or name; none where it is everybody's.
std::optional<uid_t> owner_of_network(uid_t user, const Uuid& network_id, const Limits& limits);
std::optional<uid_t> owner_of_network(uid_t user, const std::string& name, const Limits& limits);

}  // namespace vmnet
