// The host's DNS servers, for its VMs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"

namespace vmnet {

struct DnsServers {
  std::vector<Ipv4> ipv4;
  std::vector<Ipv6> ipv6;  // without link-local ones: their zone means nothing to a VM
  bool empty() const { return ipv4.empty() && ipv6.empty(); }
};

// The `nameserver` lines of a resolv.conf(5). Loopback addresses are left out: they mean the host.
DnsServers parse_resolv_conf(std::string_view text);

// /etc/resolv.conf; where that names only a stub on the loopback, the real servers behind it, as
// systemd-resolved and NetworkManager write them to files of their own. At most 1 MiB of each is
// read. Before a sandbox.
DnsServers host_dns_servers();

// Whom the host itself may ask, by any of these files: one more than is needed does no harm.
DnsServers all_dns_servers();

// The folders in which those files are, and are replaced: what all_dns_servers() must be able to
// read in.
std::vector<std::string> dns_server_folders();

// Changes with any of the files. A look at their state, none into them.
std::string dns_server_files_state();

}  // namespace vmnet
