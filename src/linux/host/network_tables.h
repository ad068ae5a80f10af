// The nftables tables of the networks: made, kept equal to what the devices' aliases say, put back
// when somebody removed them, and removed with their network. Under the network's lock.
#pragma once

#include <string_view>

#include "base/result.h"
#include "linux/host/network_state.h"
#include "linux/netlink/netlink.h"
#include "platform/config.h"

namespace vmnet {

// What becomes of guards that no other keeper owns.
enum class Guards {
  kTake,   // they are, or become, those of the caller's socket
  kLeave,  // the caller ends: those of its socket are removed, which tells the others
};

// Makes the tables of every network of `state` what they should be, all in one transaction: those
// that are missing are made, the sets of the others get what they lack and lose what is nobody's
// any more. A guard that another keeper owns stays as it is. Tables of networks that are gone are
// removed.
Status update_network_tables(NetlinkSocket& netlink, NetlinkSocket& netfilter,
                             const NetworkState& state, Guards guards);

// A WARN line where the host's settings leave NAT no ports of its own.
void warn_of_shared_ports();

// Removes what nobody owns of networks that are gone. A bridge that is made under the same name is
// another device, of which the rules of the last one know nothing.
Status remove_stale_tables(NetlinkSocket& netfilter, const NetworkState& state);

// Removes the guards of the caller's socket, before the last of its network goes. Needs no lock.
Status release_guards(NetlinkSocket& netfilter);

// Waits until the guard of the last bridge of that name is released, up to a second.
void wait_until_guard_is_free(NetlinkSocket& netfilter, std::string_view bridge);

// Of one network.
struct TablesSeen {
  bool network = false;    // those without an owner, all of them
  bool guard = false;      // where it has one
  bool own_guard = false;  // it is the caller's
};
Result<TablesSeen> look_at_tables(NetlinkSocket& netfilter, Mode mode, std::string_view bridge);

}  // namespace vmnet
