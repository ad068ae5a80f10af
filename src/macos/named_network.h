// A network that someone else has made (macOS 26): vmnet_network_ref, whose functions are looked up
// when the program runs, since older systems and SDKs do not have them.
#pragma once

#include <vmnet/vmnet.h>

#include "base/result.h"
#include "platform/description.h"

namespace vmnet {

class NamedNetworkHandle {
 public:
  // From what the broker hands out. An error where this system has no named networks.
  static Result<NamedNetworkHandle> create(xpc_object_t serialization);

  Result<NamedNetwork> describe() const;

  // vmnet_interface_start_with_network().
  interface_ref start_interface(xpc_object_t request, dispatch_queue_t queue,
                                vmnet_start_interface_completion_handler_t handler) const;

 private:
  explicit NamedNetworkHandle(void* network) : network_(network) {}

  // vmnet_network_ref. Lives as long as the process: it is released by CoreFoundation alone, which
  // nothing else here needs.
  void* network_;
};

// Whether this system has named networks: macOS 26.
bool has_named_networks();

}  // namespace vmnet
