// Which tables there are, and what their sets hold. Reading; needs CAP_NET_ADMIN.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "linux/netlink/netlink.h"
#include "linux/nft/builder.h"

namespace vmnet {

struct ExistingTable {
  NftFamily family = NftFamily::kInet;
  std::string name;
  bool owned = false;  // by a socket that lives
  uint32_t owner = 0;  // its port id, where owned
};

// Those whose name begins so.
Result<std::vector<ExistingTable>> list_tables(NetlinkSocket& netfilter, std::string_view prefix);

// That table alone; nullopt where there is none.
Result<std::optional<ExistingTable>> find_table(NetlinkSocket& netfilter, NftFamily family,
                                                std::string_view name);

// nullptr where there is none.
const ExistingTable* find_table(const std::vector<ExistingTable>& tables, NftFamily family,
                                std::string_view name);

// The elements of a set without intervals. ENOENT where there is no such set.
Result<std::vector<NftElement>> list_elements(NetlinkSocket& netfilter, const NftTable& table,
                                              std::string_view set);

}  // namespace vmnet
