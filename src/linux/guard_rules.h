// The rules between one VM and its neighbours on the bridge: who may speak as whom.
#pragma once

#include "linux/helper_rules.h"
#include "linux/nft_builder.h"

namespace vmnet {

inline constexpr const char* kVmMacsSet = "vm_macs";

// What the VM may not send: frames in the gateway's name, router advertisements, DHCP.
NftTable ingress_table(const RuleConfig& config);

// What other ports may not send in the VM's name; with isolation, nothing between VMs at all.
NftTable bridge_table(const RuleConfig& config);

}  // namespace vmnet
