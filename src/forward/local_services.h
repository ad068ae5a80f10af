// The services that the network owes its VM, answered inside the data path: DHCPv4 and router
// advertisements. It also keeps what only a router may send (DHCP replies, router advertisements,
// redirects) from leaving the VM towards others.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include "platform/frame_responder.h"
#include "wire/dhcp.h"
#include "wire/router_advert.h"

namespace vmnet {

struct LocalServicesConfig {
  std::optional<DhcpConfig> dhcp;                   // none: DHCP requests are consumed unanswered
  std::optional<RouterAdvertConfig> router_advert;  // none: so are router solicitations

  // Monotonic. Asked for each frame of who has the address: may be coarse.
  std::function<std::chrono::steady_clock::time_point()> now = std::chrono::steady_clock::now;
  uint32_t jitter_seed = 1;  // spreads unsolicited advertisements; not secret
};

// Reserves all memory it will need. Used by one thread.
std::unique_ptr<FrameResponder> make_local_services(LocalServicesConfig config);

}  // namespace vmnet
