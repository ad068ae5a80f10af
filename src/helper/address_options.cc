#include "helper/address_options.h"

#include <utility>

#include <fmt/format.h>

namespace vmnet {
namespace {

// Shorter is more than RFC 1918 has, longer leaves no room for a gateway and a VM.
constexpr int kMinPrefixLength = 8;
constexpr int kMaxPrefixLength = 30;

// As many as a DHCP reply and a router advertisement carry with ease; resolvers use three.
constexpr size_t kMaxDnsServers = 8;

Result<Ipv4> parse_address(const GivenOption& option) {
  auto address = parse_ipv4(option.value);
  if (!address) return refuse_value(option, "not an IPv4 address such as 192.168.64.1");
  return *address;
}

Result<Ipv4> parse_private_address(const GivenOption& option) {
  auto address = parse_address(option);
  if (!address) return pass(address);
  if (!is_private(*address)) {
    return refuse_value(option,
                        "not a private address (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16)");
  }
  return *address;
}

// The length of `mask`, which makes `address` part of a subnet of private addresses only.
Result<int> parse_mask(const GivenOption& mask, Ipv4 address) {
  auto value = parse_ipv4(mask.value);
  auto length = value ? prefix_length(*value) : std::nullopt;
  if (!length || *length < kMinPrefixLength || *length > kMaxPrefixLength) {
    return refuse_value(mask, "not a subnet mask from 255.0.0.0 to 255.255.255.252");
  }
  Ipv4Subnet subnet = subnet_of(address, *length);
  if (!is_private(subnet.address) || !is_private(subnet.broadcast())) {
    return refuse_value(mask, fmt::format("the subnet {} is not all private", to_string(subnet)));
  }
  return *length;
}

Status check_host_part(const GivenOption& option, Ipv4 address, const Ipv4Subnet& subnet) {
  if (!subnet.contains(address)) {
    return refuse_value(option, fmt::format("not in the subnet {}", to_string(subnet)));
  }
  if (address == subnet.address) {
    return refuse_value(option, fmt::format("the network address of {}", to_string(subnet)));
  }
  if (address == subnet.broadcast()) {
    return refuse_value(option, fmt::format("the broadcast address of {}", to_string(subnet)));
  }
  return {};
}

bool is_usable_dns(Ipv4 address) {
  // 0.0.0.0/8 is "this host" (RFC 1122); from 224.0.0.0 on come multicast and reserved addresses.
  return !is_loopback(address) && (address.value >> 24) != 0 && (address.value >> 24) < 224;
}

bool is_usable_dns(const Ipv6& address) {
  Ipv6 loopback;
  loopback.bytes[15] = 1;
  return !address.is_zero() && !address.is_multicast() && address != loopback;
}

}  // namespace

Result<AddressRange> parse_address_range(const GivenOption& start, const GivenOption& end,
                                         const GivenOption& mask) {
  auto first = parse_private_address(start);
  if (!first) return pass(first);
  auto last = parse_private_address(end);
  if (!last) return pass(last);
  auto length = parse_mask(mask, *first);
  if (!length) return pass(length);
  AddressRange range{.start = *first, .end = *last, .prefix_length = *length};
  if (auto valid = check_host_part(start, *first, range.subnet()); !valid) return pass(valid);
  if (auto valid = check_host_part(end, *last, range.subnet()); !valid) return pass(valid);
  if (range.end <= range.start) {
    return refuse_value(end,
                        fmt::format("must come after {} {}", start.name, in_quotes(start.value)));
  }
  return range;
}

Result<UnjudgedAddresses> parse_unjudged_addresses(const GivenOption* start, const GivenOption* end,
                                                   const GivenOption* mask) {
  UnjudgedAddresses addresses;
  for (auto [option, address] : {std::pair{start, &addresses.start}, {end, &addresses.end}}) {
    if (option == nullptr) continue;
    auto parsed = parse_address(*option);
    if (!parsed) return pass(parsed);
    *address = *parsed;
  }
  if (mask == nullptr) return addresses;
  addresses.mask = parse_ipv4(mask->value);
  if (!addresses.mask) return refuse_value(*mask, "not a subnet mask such as 255.255.255.0");
  return addresses;
}

Result<AddressRange> parse_host_address(const GivenOption& host, const GivenOption& mask) {
  auto address = parse_private_address(host);
  if (!address) return pass(address);
  auto length = parse_mask(mask, *address);
  if (!length) return pass(length);
  Ipv4Subnet subnet = subnet_of(*address, *length);
  if (auto valid = check_host_part(host, *address, subnet); !valid) return pass(valid);
  Ipv4 last{subnet.broadcast().value - 1};
  if (*address == last) {
    return refuse_value(host, fmt::format("the last address of {}, the VMs get those that follow",
                                          to_string(subnet)));
  }
  return AddressRange{.start = *address, .end = last, .prefix_length = *length};
}

Result<Ipv4> parse_vm_address(const GivenOption& option, const std::optional<AddressRange>& range) {
  auto address = parse_private_address(option);
  if (!address || !range) return address;
  if (auto valid = check_host_part(option, *address, range->subnet()); !valid) return pass(valid);
  if (*address == range->start) return refuse_value(option, "the gateway has it");
  return address;
}

Result<DnsServers> parse_dns_servers(std::span<const GivenOption> given) {
  DnsServers servers;
  for (const GivenOption& option : given) {
    auto ipv4 = parse_ipv4(option.value);
    auto ipv6 = parse_ipv6(option.value);
    if (!ipv4 && !ipv6) return refuse_value(option, "not an IPv4 or IPv6 address");
    if (ipv4 ? !is_usable_dns(*ipv4) : !is_usable_dns(*ipv6)) {
      return refuse_value(option, "not an address that a VM could ask for names");
    }
    if (ipv4) servers.ipv4.push_back(*ipv4);
    if (ipv6) servers.ipv6.push_back(*ipv6);
    if (servers.ipv4.size() > kMaxDnsServers || servers.ipv6.size() > kMaxDnsServers) {
      return refuse_value(option, fmt::format("more than {} servers", kMaxDnsServers));
    }
  }
  return servers;
}

}  // namespace vmnet
