#include "linux/rules/own_addresses.h"

#include <algorithm>
#include <array>

namespace vmnet {
namespace {

constexpr Ipv6 kLinkLocalPrefix{{0xfe, 0x80}};
constexpr uint8_t kUniversalBit = 0x02;

}  // namespace

uint32_t claim_marks(const RuleConfig& config) {
  return config.isolation ? kClaimMark | kIsolatedClaimMark : kClaimMark;
}

Ipv6 address_from_mac(const Ipv6& prefix, const Mac& mac) {
  Ipv6 address = prefix;
  const auto& from = mac.bytes;
  const auto first = static_cast<uint8_t>(from[0] ^ kUniversalBit);
  const std::array<uint8_t, 8> identifier{first, from[1], from[2], 0xff,
                                          0xfe,  from[3], from[4], from[5]};
  std::ranges::copy(identifier, address.bytes.begin() + 8);
  return address;
}

std::vector<NftElement> own_ipv6_elements(const RuleConfig& config, const Mac& mac) {
  std::vector<NftElement> elements{element(address_from_mac(kLinkLocalPrefix, mac))};
  if (config.ipv6_prefix) elements.push_back(element(address_from_mac(*config.ipv6_prefix, mac)));
  return elements;
}

NftSet own_ipv6_set(const RuleConfig& config, uint32_t max_macs) {
  return {.name = kOwnIpv6Set,
          .type = kNftIpv6Address,
          .max_size = 2 * max_macs,
          .elements = own_ipv6_elements(config, config.vm_mac)};
}

NftSet own_targets_set(const RuleConfig& config, uint32_t max_macs) {
  return {.name = kOwnTargetsSet,
          .type = kNftRaw128,
          .raw_field = kNeighborTarget,
          .max_size = 2 * max_macs,
          .elements = own_ipv6_elements(config, config.vm_mac)};
}

std::vector<Ipv6Prefix> ipv6_sources(const RuleConfig& config) {
  std::vector<Ipv6Prefix> sources{{.address = kLinkLocalPrefix, .length = 10},
                                  {.address = {}, .length = 128}};
  if (config.ipv6_prefix) sources.push_back({.address = *config.ipv6_prefix, .length = 64});
  return sources;
}

}  // namespace vmnet
