#include "linux/nft/batch.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>

#include "linux/nft/encode.h"

namespace vmnet {
namespace {

class NftMessage : public NetlinkMessage {
 public:
  NftMessage(uint16_t type, uint16_t flags, NftFamily family)
      : NetlinkMessage(static_cast<uint16_t>((NFNL_SUBSYS_NFTABLES << 8) | type), flags) {
    auto* family_header = add_family_header<nfgenmsg>();
    family_header->nfgen_family = static_cast<uint8_t>(family);
    family_header->version = NFNETLINK_V0;
  }
};

// NFT_TABLE_F_PERSIST, which headers older than Linux 6.9 lack.
constexpr uint32_t kTablePersist = 0x4;

uint32_t flags_of(TableLife life) {
  switch (life) {
    case TableLife::kSocket:
      return NFT_TABLE_F_OWNER;
    case TableLife::kOrphanedBySocket:
      return NFT_TABLE_F_OWNER | kTablePersist;
    case TableLife::kUntilRemoved:
      break;
  }
  return 0;
}

std::string table_label(const NftTable& table) {
  return fmt::format("table {} {}", to_string(table.family()), table.name());
}

}  // namespace

NftBatch::NftBatch() { put_boundary(NFNL_MSG_BATCH_BEGIN); }

void NftBatch::put_boundary(uint16_t type) {
  NetlinkMessage message(type, 0);
  auto* header = message.add_family_header<nfgenmsg>();
  header->nfgen_family = AF_UNSPEC;
  header->version = NFNETLINK_V0;
  header->res_id = htons(NFNL_SUBSYS_NFTABLES);
  size_t acknowledged = last_message_;
  append(message, "the transaction");
  last_message_ = acknowledged;
}

void NftBatch::append(NetlinkMessage& message, std::string object) {
  nlmsghdr* header = message.header();
  header->nlmsg_seq = static_cast<uint32_t>(objects_.size());
  last_message_ = bytes_.size();
  const auto* data = reinterpret_cast<const uint8_t*>(header);
  bytes_.insert(bytes_.end(), data, data + NLMSG_ALIGN(header->nlmsg_len));
  objects_.push_back(std::move(object));
}

void NftBatch::create(const NftTable& table, TableLife life) {
  NftMessage message(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, table.family());
  message.put_string(NFTA_TABLE_NAME, table.name());
  put_nft_u32(message, NFTA_TABLE_FLAGS, flags_of(life));
  append(message, table_label(table));
  for (const NftSet& set : table.sets()) {
    create_set(table, set, set.name, next_set_id_++);
  }
  for (const NftChain& chain : table.chains()) create_chain(table, chain);
  for (const NftChain& chain : table.chains()) create_rules(table, chain);
}

void NftBatch::remove_table(NftFamily family, std::string_view name) {
  NftMessage message(NFT_MSG_DELTABLE, 0, family);
  message.put_string(NFTA_TABLE_NAME, name);
  append(message, fmt::format("table {} {}", to_string(family), name));
}

void NftBatch::create_set(const NftTable& table, const NftSet& set, std::string_view name,
                          uint32_t id) {
  uint32_t flags = 0;
  if (set.name.empty()) flags |= NFT_SET_ANONYMOUS | NFT_SET_CONSTANT;
  if (set.interval) flags |= NFT_SET_INTERVAL;
  if (set.dynamic) flags |= NFT_SET_EVAL;
  if (set.dynamic && !set.lasting) flags |= NFT_SET_TIMEOUT;
  NftMessage message(NFT_MSG_NEWSET, NLM_F_CREATE, table.family());
  message.put_string(NFTA_SET_TABLE, table.name());
  message.put_string(NFTA_SET_NAME, name);
  put_nft_u32(message, NFTA_SET_FLAGS, flags);
  put_nft_u32(message, NFTA_SET_KEY_TYPE, set.type.id);
  put_nft_u32(message, NFTA_SET_KEY_LEN, set.type.length);
  put_nft_u32(message, NFTA_SET_ID, id);
  // A known size lets the kernel choose a fixed hash table, the cheapest lookup.
  auto size = set.name.empty() ? static_cast<uint32_t>(set.elements.size()) : set.max_size;
  if (size > 0) {
    nlattr* nest = message.begin_nest(NFTA_SET_DESC);
    put_nft_u32(message, NFTA_SET_DESC_SIZE, size);
    message.end_nest(nest);
  }
  const std::vector<uint8_t> notes = nft_set_notes(set);
  message.put_bytes(NFTA_SET_USERDATA, notes.data(), notes.size());
  append(message, fmt::format("set {} of {}", name, table_label(table)));
  put_elements(table, name, id, set.elements, NFT_MSG_NEWSETELEM);
}

void NftBatch::put_elements(const NftTable& table, std::string_view set, uint32_t id,
                            std::span<const NftElement> elements, uint16_t type) {
  // Of any type, so many fit into a message.
  constexpr size_t kMost = 64;
  for (; !elements.empty(); elements = elements.subspan(std::min(kMost, elements.size()))) {
    NftMessage message(type, type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0, table.family());
    message.put_string(NFTA_SET_ELEM_LIST_TABLE, table.name());
    message.put_string(NFTA_SET_ELEM_LIST_SET, set);
    if (id != 0) put_nft_u32(message, NFTA_SET_ELEM_LIST_SET_ID, id);
    nlattr* list = message.begin_nest(NFTA_SET_ELEM_LIST_ELEMENTS);
    for (const NftElement& item : elements.first(std::min(kMost, elements.size()))) {
      nlattr* nest = message.begin_nest(NFTA_LIST_ELEM);
      put_nft_value(message, NFTA_SET_ELEM_KEY, item.key);
      if (item.interval_end) {
        put_nft_u32(message, NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
      }
      message.end_nest(nest);
    }
    message.end_nest(list);
    append(message, fmt::format("elements of set {} of {}", set, table_label(table)));
  }
}

void NftBatch::add_elements(const NftTable& table, std::string_view set,
                            const std::vector<NftElement>& elements) {
  put_elements(table, set, 0, elements, NFT_MSG_NEWSETELEM);
}

void NftBatch::remove_elements(const NftTable& table, std::string_view set,
                               const std::vector<NftElement>& elements) {
  put_elements(table, set, 0, elements, NFT_MSG_DELSETELEM);
}

void NftBatch::create_chain(const NftTable& table, const NftChain& chain) {
  NftMessage message(NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL, table.family());
  message.put_string(NFTA_CHAIN_TABLE, table.name());
  message.put_string(NFTA_CHAIN_NAME, chain.name());
  if (const auto& hook = chain.hook()) {
    nlattr* nest = message.begin_nest(NFTA_CHAIN_HOOK);
    put_nft_u32(message, NFTA_HOOK_HOOKNUM, hook->number);
    put_nft_u32(message, NFTA_HOOK_PRIORITY, static_cast<uint32_t>(hook->priority));
    if (!hook->device.empty()) message.put_string(NFTA_HOOK_DEV, hook->device);
    message.end_nest(nest);
    message.put_string(NFTA_CHAIN_TYPE, hook->type);
    put_nft_u32(message, NFTA_CHAIN_POLICY, NF_ACCEPT);
  }
  append(message, fmt::format("chain {} of {}", chain.name(), table_label(table)));
}

void NftBatch::create_rules(const NftTable& table, const NftChain& chain) {
  size_t number = 0;
  for (const NftRule& rule : chain.rules()) {
    uint32_t first_set_id = next_set_id_;
    for (const NftSet& set : rule.anonymous_sets()) {
      create_set(table, set, kNftAnonymousSetName, next_set_id_++);
    }
    NftMessage message(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, table.family());
    message.put_string(NFTA_RULE_TABLE, table.name());
    message.put_string(NFTA_RULE_CHAIN, chain.name());
    put_nft_expressions(message, rule, first_set_id);
    append(message,
           fmt::format("rule {} of chain {} of {}", ++number, chain.name(), table_label(table)));
  }
}

std::unexpected<Error> NftBatch::failure(uint32_t sequence, int err) const {
  const std::string& object = sequence < objects_.size() ? objects_[sequence] : objects_.front();
  if (sequence == 0 && err == EPERM) {
    return fail_errno("cannot change nftables", err, "the CAP_NET_ADMIN capability is missing");
  }
  auto error = fail_errno(fmt::format("nftables: {}", object), err,
                          err == EPERM    ? "another program's socket owns that table"
                          : err == ENOENT ? "is a kernel module missing (nf_tables, nft_chain_nat, "
                                            "nft_masq, nft_ct, nft_limit, nft_connlimit)?"
                                          : "");
  if (err == EPERM) error.error().os_errno = EEXIST;
  return error;
}

Status NftBatch::receive(NetlinkSocket& socket) const {
  Status result;
  auto last = static_cast<uint32_t>(objects_.size() - 2);  // the message before the closing one
  bool ended = false;
  std::array<uint8_t, 8192> buffer{};
  while (true) {
    ssize_t size = recv(socket.fd(), buffer.data(), buffer.size(), ended ? MSG_DONTWAIT : 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) {
      if (ended) return result;
      return fail_errno("nftables did not answer", errno == EAGAIN ? ETIMEDOUT : errno);
    }
    int left = static_cast<int>(size);
    const auto* message = reinterpret_cast<const nlmsghdr*>(buffer.data());
    for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
      if (message->nlmsg_type != NLMSG_ERROR) continue;
      if (mnl_nlmsg_get_payload_len(message) < sizeof(nlmsgerr)) continue;
      const auto* answer = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(message));
      if (answer->error != 0 && result) result = failure(message->nlmsg_seq, -answer->error);
      // The beginning is answered where the whole transaction failed.
      ended = ended || message->nlmsg_seq == last || message->nlmsg_seq == 0;
    }
  }
}

Status NftBatch::commit(NetlinkSocket& socket) {
  nlmsghdr last{};
  std::memcpy(&last, bytes_.data() + last_message_, sizeof(last));
  last.nlmsg_flags |= NLM_F_ACK;
  std::memcpy(bytes_.data() + last_message_, &last, sizeof(last));
  put_boundary(NFNL_MSG_BATCH_END);
  // ROOT: what is sent was built by us, from checked configuration.
  if (send(socket.fd(), bytes_.data(), bytes_.size(), 0) < 0) {
    return fail_errno("cannot change nftables", errno);
  }
  return receive(socket);
}

}  // namespace vmnet
