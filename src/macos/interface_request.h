// What is asked of vmnet, as the dictionary that it wants.
#pragma once

#include "base/result.h"
#include "base/uuid.h"
#include "macos/xpc_object.h"
#include "platform/config.h"

namespace vmnet {

// What the interface does for the frames that cross it.
struct Offload {
  bool virtio_header = false;  // vmnet puts a virtio-net header before each frame (macOS 15.4)
  bool tso = false;
  bool checksum = false;
};

// `has_header`: this system has vmnet_enable_virtio_header_key. With it the data path cuts and
// merges for every VM; without, the VM's own offload decides. Pure.
Offload choose_offload(const NetworkConfig& config, bool has_header);

// For vmnet_start_interface(). Checks nothing: helper/options has.
XpcObject interface_request(const NetworkConfig& config, const Uuid& interface_id,
                            const Offload& offload);

// For vmnet_interface_start_with_network(): what a named network leaves open.
XpcObject named_network_request(const NetworkConfig& config, const Offload& offload);

}  // namespace vmnet
