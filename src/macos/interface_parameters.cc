#include "macos/interface_parameters.h"

#include <string>

#include <fmt/format.h>
#include <vmnet/vmnet.h>

#include "macos/dynamic_symbols.h"
#include "macos/xpc_object.h"

namespace vmnet {
namespace {

std::optional<Ipv4> read_ipv4(xpc_object_t dictionary, const char* key) {
  auto text = xpc_string(dictionary, key);
  if (!text) return std::nullopt;
  return parse_ipv4(*text);
}

std::optional<AddressRange> read_addresses(xpc_object_t dictionary) {
  auto start = read_ipv4(dictionary, vmnet_start_address_key);
  auto end = read_ipv4(dictionary, vmnet_end_address_key);
  auto mask = read_ipv4(dictionary, vmnet_subnet_mask_key);
  if (!start || !end || !mask) return std::nullopt;
  auto length = prefix_length(*mask);
  if (!length) return std::nullopt;
  return AddressRange{.start = *start, .end = *end, .prefix_length = *length};
}

}  // namespace

Result<InterfaceParameters> read_parameters(xpc_object_t dictionary) {
  InterfaceParameters parameters;
  parameters.interface_id = xpc_uuid(dictionary, vmnet_interface_id_key);
  if (auto mac = xpc_string(dictionary, vmnet_mac_address_key)) parameters.mac = parse_mac(*mac);
  parameters.mtu = xpc_uint64(dictionary, vmnet_mtu_key).value_or(kMtu);
  parameters.max_packet_size =
      xpc_uint64(dictionary, vmnet_max_packet_size_key).value_or(kMaxOffloadFrameSize);
  if (parameters.max_packet_size < kEthernetHeaderSize ||
      parameters.max_packet_size > kMaxOffloadFrameSize) {
    return fail(fmt::format("vmnet tells of frames of up to {} bytes, which cannot be forwarded",
                            parameters.max_packet_size));
  }
  parameters.addresses = read_addresses(dictionary);
  if (auto prefix = xpc_string(dictionary, vmnet_nat66_prefix_key)) {
    parameters.nat66_prefix = parse_ipv6(*prefix);
  }
  parameters.read_max_packets = xpc_uint64(dictionary, find_key("vmnet_read_max_packets_key"));
  parameters.write_max_packets = xpc_uint64(dictionary, find_key("vmnet_write_max_packets_key"));
  return parameters;
}

Description describe(const InterfaceParameters& parameters, const Uuid& interface_id,
                     const Mac& mac) {
  Description description;
  description.interface_id = parameters.interface_id.value_or(interface_id);
  description.mac = parameters.mac.value_or(mac);
  description.mtu = parameters.mtu;
  description.max_packet_size = parameters.max_packet_size;
  description.addresses = parameters.addresses;
  description.nat66_prefix = parameters.nat66_prefix;
  description.read_max_packets = parameters.read_max_packets.value_or(kDocumentedPackets);
  description.write_max_packets = parameters.write_max_packets.value_or(kDocumentedPackets);
  return description;
}

}  // namespace vmnet
