// A transaction of nftables changes: all of it takes effect at once, or nothing.
//
// Source: nfnetlink's batches (NFNL_MSG_BATCH_BEGIN/END, Linux 3.13). The kernel answers an error
// for each message that failed and one acknowledgement for the last, before send(2) returns.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "linux/netlink/netlink.h"
#include "linux/nft/builder.h"

namespace vmnet {

// How long a table lives, and who may change it.
enum class TableLife {
  kSocket,            // of commit()'s socket: it vanishes with that (NFT_TABLE_F_OWNER, Linux 5.12)
  kOrphanedBySocket,  // that socket's, and nobody's when that has closed (NFT_TABLE_F_PERSIST, 6.9)
  kUntilRemoved,      // anybody's who may change tables, `nft flush ruleset` included
};

class NftBatch {
 public:
  NftBatch();

  // The table, which must not exist.
  void create(const NftTable& table, TableLife life);
  void remove_table(NftFamily family, std::string_view name);

  // Elements that are there already are no error, ones that are to be removed must be there.
  void add_elements(const NftTable& table, std::string_view set,
                    const std::vector<NftElement>& elements);
  void remove_elements(const NftTable& table, std::string_view set,
                       const std::vector<NftElement>& elements);

  // Nothing would change.
  bool empty() const { return objects_.size() == 1; }

  // Sends it, once. The error names the object that failed ("rule 3 of chain ..."). os_errno is
  // EEXIST where a table exists already, also as another socket's (for which the kernel says
  // EPERM), so that EPERM means a missing privilege.
  Status commit(NetlinkSocket& socket);

  // The messages as they will be sent, without the closing one.
  const std::vector<uint8_t>& bytes() const { return bytes_; }

 private:
  void append(NetlinkMessage& message, std::string object);
  void create_set(const NftTable& table, const NftSet& set, std::string_view name, uint32_t id);
  void put_elements(const NftTable& table, std::string_view set, uint32_t id,
                    std::span<const NftElement> elements, uint16_t type);
  void create_chain(const NftTable& table, const NftChain& chain);
  void create_rules(const NftTable& table, const NftChain& chain);
  void put_boundary(uint16_t type);
  Status receive(NetlinkSocket& socket) const;
  std::unexpected<Error> failure(uint32_t sequence, int err) const;

  std::vector<uint8_t> bytes_;
  std::vector<std::string> objects_;  // by sequence number; 0: the beginning
  size_t last_message_ = 0;           // offset in bytes_ of the message that is acknowledged
  uint32_t next_set_id_ = 1;
};

}  // namespace vmnet
