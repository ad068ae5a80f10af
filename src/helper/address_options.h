// The options whose values are IP addresses: what makes a set of them a network that works.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "helper/option_reader.h"
#include "platform/config.h"

namespace vmnet {

// --start-address, --end-address, --subnet-mask. The errors name the option and its value.
Result<AddressRange> parse_address_range(const GivenOption& start, const GivenOption& end,
                                         const GivenOption& mask);

// The same where vmnet judges them: each may be null, and need only be a dotted quad.
Result<UnjudgedAddresses> parse_unjudged_addresses(const GivenOption* start, const GivenOption* end,
                                                   const GivenOption* mask);

// --host-ip-address, --host-subnet-mask: the host's address, and all that follow it for the VMs.
Result<AddressRange> parse_host_address(const GivenOption& host, const GivenOption& mask);

// --ip-address, in a network of those addresses where they are known by now.
Result<Ipv4> parse_vm_address(const GivenOption& option, const std::optional<AddressRange>& range);

struct DnsServers {
  std::vector<Ipv4> ipv4;
  std::vector<Ipv6> ipv6;
};

// Every --dns, in order.
Result<DnsServers> parse_dns_servers(std::span<const GivenOption> given);

}  // namespace vmnet
