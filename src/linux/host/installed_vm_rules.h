// The rules of one VM in the kernel.
//
// Their table belongs to the keeper's netlink socket: the kernel removes it when that closes,
// whatever ends the process, and neither `nft flush ruleset` nor a firewall's reload touches it.
// That of a VM that holds its device itself stays when the keeper dies, without an owner, until the
// next helper's sweep; on kernels before 6.9 it never has one, and a marker, an empty table of
// family ip, tells that the keeper lives.
#pragma once

#include <string>

#include "base/result.h"
#include "linux/netlink/netlink.h"
#include "linux/nft/batch.h"
#include "linux/nft/builder.h"

namespace vmnet {

// One thread. Moved freely. The table lives until remove(), or the end of the socket.
class InstalledVmRules {
 public:
  // The device, after which the table is named, must exist. The table of an ending helper whose
  // device had the same name is waited for, up to a second. It belongs to `socket`
  // (NETLINK_NETFILTER), which must outlive the object. `outlive_keeper`: the VM holds its device
  // itself (--tap), and may hold it when the keeper is gone.
  static Result<InstalledVmRules> install(NetlinkSocket& socket, const NftTable& table,
                                          bool outlive_keeper);

  // Nothing may be called after it.
  Status remove();

 private:
  InstalledVmRules(NetlinkSocket& socket, std::string device, TableLife life);

  NetlinkSocket* socket_;
  std::string device_;
  TableLife life_;
};

}  // namespace vmnet
