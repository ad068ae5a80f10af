// What vmnet answers about an interface that it has started.
#pragma once

#include <cstdint>
#include <optional>

#include <xpc/xpc.h>

#include "base/ip.h"
#include "base/mac.h"
#include "base/result.h"
#include "base/uuid.h"
#include "platform/config.h"
#include "platform/description.h"

namespace vmnet {

inline constexpr size_t kDocumentedPackets = 200;  // of one call, where vmnet does not tell

struct InterfaceParameters {
  std::optional<Uuid> interface_id;
  std::optional<Mac> mac;
  uint64_t mtu = kMtu;
  // Of a frame, without a virtio-net header. Where it is not told: whatever may come.
  uint64_t max_packet_size = kMaxOffloadFrameSize;
  std::optional<AddressRange> addresses;
  std::optional<Ipv6> nat66_prefix;
  std::optional<uint64_t> read_max_packets;  // macOS 15
  std::optional<uint64_t> write_max_packets;
};

// `dictionary` may be null. An error where frames of the sizes it tells cannot be forwarded; an
// address that cannot be read is left out.
Result<InterfaceParameters> read_parameters(xpc_object_t dictionary);

// `interface_id` and `mac` stand in for what vmnet does not tell.
Description describe(const InterfaceParameters& parameters, const Uuid& interface_id,
                     const Mac& mac);

}  // namespace vmnet
