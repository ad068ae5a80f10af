#include "platform/description.h"

#include <nlohmann/json.hpp>

namespace vmnet {

std::string to_json(const Description& description) {
  nlohmann::ordered_json json;
  json["vmnet_interface_id"] = to_string(description.interface_id);
  json["vmnet_mac_address"] = to_string(description.mac);
  json["vmnet_mtu"] = description.mtu;
  json["vmnet_max_packet_size"] = description.max_packet_size;
  if (description.addresses) {
    json["vmnet_start_address"] = to_string(description.addresses->start);
    json["vmnet_end_address"] = to_string(description.addresses->end);
    json["vmnet_subnet_mask"] = to_string(description.addresses->subnet().mask());
  }
  if (description.nat66_prefix) json["vmnet_nat66_prefix"] = to_string(*description.nat66_prefix);
  json["vmnet_read_max_packets"] = description.read_max_packets;
  json["vmnet_write_max_packets"] = description.write_max_packets;
  if (const auto& network = description.named_network) {
    json["net_ipv4_subnet"] = to_string(network->ipv4_subnet);
    json["net_ipv4_mask"] = to_string(network->ipv4_mask);
    if (network->ipv6_prefix) {
      json["net_ipv6_prefix"] = to_string(*network->ipv6_prefix);
      json["net_ipv6_prefix_len"] = network->ipv6_prefix_length;
    }
  }
  if (description.ip_address) json["ip_address"] = to_string(*description.ip_address);
  if (description.tap_header_size) json["tap_vnet_header_size"] = *description.tap_header_size;
  if (!description.host_interface.empty()) json["host_interface"] = description.host_interface;
  // A device name is bytes; what is not UTF-8 in it must not end us, nor the JSON.
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace vmnet
