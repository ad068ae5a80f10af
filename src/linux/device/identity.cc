#include "linux/device/identity.h"

#include <algorithm>
#include <string>

#include <fmt/format.h>

namespace vmnet {
namespace {

template <size_t N>
void put_low_bytes(uint64_t value, uint8_t* out) {
  for (size_t i = 0; i < N; i++) out[i] = static_cast<uint8_t>(value >> (8 * (N - 1 - i)));
}

}  // namespace

uint64_t mixed_hash(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325U;  // FNV-1a, 64 bits
  for (char c : bytes) {
    hash ^= static_cast<uint8_t>(c);
    hash *= 0x100000001b3U;
  }
  hash ^= hash >> 33;  // the finaliser of MurmurHash3 spreads the last bytes over all bits
  hash *= 0xff51afd7ed558ccdU;
  hash ^= hash >> 33;
  hash *= 0xc4ceb9fe1a85ec53U;
  return hash ^ (hash >> 33);
}

bool is_vm_mac(const Mac& mac) {
  return std::equal(kVmMacPrefix.begin(), kVmMacPrefix.end(), mac.bytes.begin());
}

bool is_virtual_router_mac(const Mac& mac) {
  constexpr std::array<uint8_t, 4> kPrefix{0x00, 0x00, 0x5e, 0x00};
  return std::equal(kPrefix.begin(), kPrefix.end(), mac.bytes.begin()) &&
         (mac.bytes[4] == 1 || mac.bytes[4] == 2);
}

std::string users_name(uid_t user, std::string_view name) {
  return fmt::format("{} {}", user, name);
}

std::string to_string(const VmIdentity& vm) {
  return users_name(vm.user, to_string(vm.interface_id));
}

Mac vm_mac(const VmIdentity& vm) {
  Mac mac;
  std::ranges::copy(kVmMacPrefix, mac.bytes.begin());
  put_low_bytes<4>(mixed_hash(to_string(vm)), mac.bytes.data() + kVmMacPrefix.size());
  return mac;
}

Mac port_mac(const VmIdentity& vm) {
  Mac mac;
  std::ranges::copy(kPortMacPrefix, mac.bytes.begin());
  put_low_bytes<3>(mixed_hash(to_string(vm)), mac.bytes.data() + kPortMacPrefix.size());
  return mac;
}

uint32_t preferred_address_index(const VmIdentity& vm, uint32_t pool_size) {
  // Other bits than the MAC's, so that a clash of one is no clash of the other.
  return static_cast<uint32_t>(mixed_hash("address " + to_string(vm)) % pool_size);
}

uint32_t preferred_subnet_index(std::string_view network_name, uint32_t count) {
  return static_cast<uint32_t>(mixed_hash(network_name) % count);
}

Mac bridge_mac(std::string_view network_name) {
  Mac mac;
  std::ranges::copy(kBridgeMacPrefix, mac.bytes.begin());
  put_low_bytes<3>(mixed_hash(network_name), mac.bytes.data() + kBridgeMacPrefix.size());
  return mac;
}

Ipv6 unique_local_prefix(std::string_view machine_id, std::string_view network_name) {
  std::string host = "vmnet-helper ";
  host += machine_id;
  Ipv6 prefix;
  prefix.bytes[0] = 0xfd;
  put_low_bytes<5>(mixed_hash(host), prefix.bytes.data() + 1);
  put_low_bytes<2>(mixed_hash(network_name), prefix.bytes.data() + 6);
  return prefix;
}

Ipv6 gateway_of(const Ipv6& prefix) {
  Ipv6 gateway = prefix;
  gateway.bytes[15] = 1;
  return gateway;
}

Ipv6 address_from_mac(const Ipv6& prefix, const Mac& mac) {
  constexpr uint8_t kUniversalBit = 0x02;
  Ipv6 address = prefix;
  const auto& from = mac.bytes;
  const auto first = static_cast<uint8_t>(from[0] ^ kUniversalBit);
  const std::array<uint8_t, 8> identifier{first, from[1], from[2], 0xff,
                                          0xfe,  from[3], from[4], from[5]};
  std::ranges::copy(identifier, address.bytes.begin() + 8);
  return address;
}

}  // namespace vmnet
