// The rules for what a network exchanges with the host and, through it, with the world.
#pragma once

#include "linux/helper_rules.h"
#include "linux/nft_builder.h"

namespace vmnet {

inline constexpr const char* kGuardedUplinksSet = "guarded_uplinks";
inline constexpr const char* kGuardedFamiliesSet = "guarded_families";

// Forwarding, the host's own input, and NAT, for the bridge of `config` (shared and host mode).
NftTable routing_table(const RuleConfig& config);

}  // namespace vmnet
