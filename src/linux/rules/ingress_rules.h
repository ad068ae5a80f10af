// The rules for what comes from one VM, at its own device: what no VM may send.
#pragma once

#include "linux/nft/builder.h"
#include "linux/rules/helper_rules.h"

namespace vmnet {

// Drops frames in the gateway's name, router advertisements, DHCP; bounds how many addresses the
// VM has; marks what it says of an address that is not its own by construction (own_addresses.h).
NftTable ingress_table(const RuleConfig& config);

}  // namespace vmnet
