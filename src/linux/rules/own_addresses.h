// Whose an address is. By construction a VM has the MAC and the IPv4 address that it was given, and
// the IPv6 addresses that follow from its MACs (RFC 4291, modified EUI-64). Of every other address
// it makes a claim by using it.
#pragma once

#include <vector>

#include "base/ip.h"
#include "base/mac.h"
#include "linux/nft/builder.h"
#include "linux/rules/helper_rules.h"

namespace vmnet {

inline constexpr const char* kOwnIpv6Set = "own_ipv6";
inline constexpr const char* kOwnTargetsSet = "own_targets";  // the same for neighbour discovery

// Marks on a frame between the VM's device and the bridge's rules, where they are taken off again:
// it speaks of an address that is not the VM's by construction; and the VM is an isolated one.
inline constexpr uint32_t kClaimMark = 0x10000000;
inline constexpr uint32_t kIsolatedClaimMark = 0x20000000;
uint32_t claim_marks(const RuleConfig& config);

// The address with that prefix (a /64) which a VM with that MAC gives itself.
Ipv6 address_from_mac(const Ipv6& prefix, const Mac& mac);

// Its link-local address and, where the network has a prefix, the one of that.
std::vector<NftElement> own_ipv6_elements(const RuleConfig& config, const Mac& mac);

// The sets with those of the VM's own MAC, and room for those of `max_macs` in all.
NftSet own_ipv6_set(const RuleConfig& config, uint32_t max_macs);
NftSet own_targets_set(const RuleConfig& config, uint32_t max_macs);

// Where the host takes IPv6 from: the network's prefix, link-local addresses and, since a tentative
// one is asked about so, none.
std::vector<Ipv6Prefix> ipv6_sources(const RuleConfig& config);

}  // namespace vmnet
