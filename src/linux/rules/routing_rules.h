// The rules for what a network exchanges with the host and, through it, with the world.
#pragma once

#include "linux/nft/builder.h"
#include "linux/rules/helper_rules.h"

namespace vmnet {

inline constexpr const char* kGuardedIpv4Set = "guarded_ipv4";  // interfaces
inline constexpr const char* kGuardedIpv6Set = "guarded_ipv6";
inline constexpr const char* kGuardedFamiliesSet = "guarded_families";

// Forwarding, the host's own input, and NAT, for the bridge of `config` (shared and host mode).
NftTable routing_table(const RuleConfig& config);

}  // namespace vmnet
