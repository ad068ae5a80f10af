// The older iptables (x_tables), whose rules nftables does not show.
#pragma once

#include <string_view>

namespace vmnet {

// What the FORWARD chain of the filter table says.
struct LegacyForward {
  bool drops = false;  // its policy is DROP
  // Rules that name devices beginning with the name asked for, as one end of the way, or as both.
  bool knows_routed = false;
  bool knows_bridged = false;
};

// Of this network namespace (`ipv6`: of ip6tables). Says nothing where there is no such table or it
// cannot be read (CAP_NET_ADMIN). Never creates the table.
LegacyForward read_legacy_forward(bool ipv6, std::string_view ours);

}  // namespace vmnet
