#include "macos/interface_request.h"

#include <vmnet/vmnet.h>

#include "macos/dynamic_symbols.h"

namespace vmnet {
namespace {

uint64_t vmnet_mode(Mode mode) {
  switch (mode) {
    case Mode::kShared:
      return VMNET_SHARED_MODE;
    case Mode::kBridged:
      return VMNET_BRIDGED_MODE;
    case Mode::kHost:
      return VMNET_HOST_MODE;
  }
  return VMNET_SHARED_MODE;
}

void set_address(const XpcObject& request, const char* key, Ipv4 address) {
  xpc_dictionary_set_string(request.get(), key, to_string(address).c_str());
}

void set_addresses(const XpcObject& request, const UnjudgedAddresses& addresses) {
  if (addresses.start) set_address(request, vmnet_start_address_key, *addresses.start);
  if (addresses.end) set_address(request, vmnet_end_address_key, *addresses.end);
  if (addresses.mask) set_address(request, vmnet_subnet_mask_key, *addresses.mask);
}

void set_private_network(const XpcObject& request, const PrivateNetwork& network) {
  xpc_dictionary_set_uuid(request.get(), vmnet_network_identifier_key, network.id.bytes.data());
  if (!network.addresses) return;
  set_address(request, vmnet_host_ip_address_key, network.addresses->start);
  set_address(request, vmnet_host_subnet_mask_key, network.addresses->subnet().mask());
}

void set_offload(const XpcObject& request, const Offload& offload) {
  xpc_dictionary_set_bool(request.get(), vmnet_enable_tso_key, offload.tso);
  if (offload.virtio_header) {
    // Not together with checksum offload: the header tells of checksums itself.
    xpc_dictionary_set_bool(request.get(), find_key("vmnet_enable_virtio_header_key"), true);
  } else {
    xpc_dictionary_set_bool(request.get(), vmnet_enable_checksum_offload_key, offload.checksum);
  }
}

}  // namespace

Offload choose_offload(const NetworkConfig& config, bool has_header) {
  if (has_header) return {.virtio_header = true, .tso = true};
  return {.tso = config.enable_tso, .checksum = config.enable_checksum_offload};
}

XpcObject interface_request(const NetworkConfig& config, const Uuid& interface_id,
                            const Offload& offload) {
  XpcObject request(xpc_dictionary_create(nullptr, nullptr, 0));
  xpc_dictionary_set_uint64(request.get(), vmnet_operation_mode_key, vmnet_mode(config.mode));
  xpc_dictionary_set_uuid(request.get(), vmnet_interface_id_key, interface_id.bytes.data());
  xpc_dictionary_set_bool(request.get(), vmnet_allocate_mac_address_key, true);
  if (config.mode == Mode::kBridged) {
    xpc_dictionary_set_string(request.get(), vmnet_shared_interface_name_key,
                              config.shared_interface.c_str());
  } else {
    xpc_dictionary_set_bool(request.get(), vmnet_enable_isolation_key, config.enable_isolation);
  }
  set_addresses(request, config.unjudged_addresses);
  if (config.private_network) set_private_network(request, *config.private_network);
  set_offload(request, offload);
  return request;
}

XpcObject named_network_request(const NetworkConfig& config, const Offload& offload) {
  XpcObject request(xpc_dictionary_create(nullptr, nullptr, 0));
  xpc_dictionary_set_bool(request.get(), vmnet_allocate_mac_address_key, true);
  xpc_dictionary_set_bool(request.get(), vmnet_enable_isolation_key, config.enable_isolation);
  set_offload(request, offload);
  return request;
}

}  // namespace vmnet
