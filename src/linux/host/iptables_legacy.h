// The older iptables (x_tables), whose rules nftables does not show.
#pragma once

namespace vmnet {

// Whether the FORWARD chain of the filter table (`ipv6`: of ip6tables) in this network namespace
// has the policy DROP and no rule that names a "vmnet-" device. False where there is no such table
// or it cannot be read (CAP_NET_ADMIN). Never creates the table.
bool legacy_forward_drops(bool ipv6);

}  // namespace vmnet
