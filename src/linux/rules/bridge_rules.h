// The rules between one VM's port and the bridge's others: whose a MAC or an address is.
#pragma once

#include "linux/nft/builder.h"
#include "linux/rules/helper_rules.h"

namespace vmnet {

inline constexpr const char* kVmMacsSet = "vm_macs";

// What other ports may not say in the VM's name, what the VM may claim, what the host may send it;
// with isolation, nothing between VMs at all.
NftTable bridge_table(const RuleConfig& config);

}  // namespace vmnet
