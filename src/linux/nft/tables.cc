#include "linux/nft/tables.h"

#include <algorithm>
#include <cerrno>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

namespace vmnet {
namespace {

constexpr uint16_t nft(uint16_t type) {
  return static_cast<uint16_t>((NFNL_SUBSYS_NFTABLES << 8) | type);
}

void put_family(NetlinkMessage& message, NftFamily family) {
  auto* header = message.add_family_header<nfgenmsg>();
  header->nfgen_family = static_cast<uint8_t>(family);
  header->version = NFNETLINK_V0;
}

ExistingTable parse_table(const nlmsghdr* answer) {
  const auto* header = static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(answer));
  ExistingTable table{.family = static_cast<NftFamily>(header->nfgen_family), .name = {}};
  for_each_attribute(answer, sizeof(nfgenmsg), [&table](const nlattr* attribute) {
    switch (mnl_attr_get_type(attribute)) {
      case NFTA_TABLE_NAME:
        table.name = attribute_text(attribute);
        break;
      case NFTA_TABLE_FLAGS:
        table.owned = (ntohl(mnl_attr_get_u32(attribute)) & NFT_TABLE_F_OWNER) != 0;
        break;
      case NFTA_TABLE_OWNER:
        table.owner = ntohl(mnl_attr_get_u32(attribute));
        break;
      default:
        break;
    }
  });
  return table;
}

NftElement parse_element(const nlattr* nest) {
  NftElement element;
  for_each_nested(nest, [&element](const nlattr* part) {
    if (mnl_attr_get_type(part) != NFTA_SET_ELEM_KEY) return;
    for_each_nested(part, [&element](const nlattr* data) {
      if (mnl_attr_get_type(data) != NFTA_DATA_VALUE) return;
      const auto* bytes = static_cast<const uint8_t*>(mnl_attr_get_payload(data));
      element.key.assign(bytes, bytes + mnl_attr_get_payload_len(data));
    });
  });
  return element;
}

}  // namespace

Result<std::vector<ExistingTable>> list_tables(NetlinkSocket& netfilter, std::string_view prefix) {
  std::vector<ExistingTable> tables;
  constexpr auto kAllFamilies = NftFamily{};
  NetlinkMessage message(nft(NFT_MSG_GETTABLE), NLM_F_DUMP);
  put_family(message, kAllFamilies);
  auto listed = netfilter.query(
      message, "cannot list nftables tables",
      [&](const nlmsghdr* answer) {
        ExistingTable table = parse_table(answer);
        if (table.name.starts_with(prefix)) tables.push_back(std::move(table));
      },
      [&tables] { tables.clear(); });
  if (!listed) return pass(listed);
  return tables;
}

Result<std::optional<ExistingTable>> find_table(NetlinkSocket& netfilter, NftFamily family,
                                                std::string_view name) {
  std::optional<ExistingTable> table;
  NetlinkMessage message(nft(NFT_MSG_GETTABLE), NLM_F_ACK);
  put_family(message, family);
  message.put_string(NFTA_TABLE_NAME, name);
  auto found = netfilter.query(message, fmt::format("cannot look for nftables table {}", name),
                               [&table](const nlmsghdr* answer) { table = parse_table(answer); });
  if (!found && found.error().os_errno != ENOENT) return pass(found);
  return table;
}

const ExistingTable* find_table(const std::vector<ExistingTable>& tables, NftFamily family,
                                std::string_view name) {
  auto found = std::ranges::find_if(tables, [&](const ExistingTable& table) {
    return table.family == family && table.name == name;
  });
  return found == tables.end() ? nullptr : &*found;
}

Result<std::vector<NftElement>> list_elements(NetlinkSocket& netfilter, const NftTable& table,
                                              std::string_view set) {
  std::vector<NftElement> elements;
  NetlinkMessage message(nft(NFT_MSG_GETSETELEM), NLM_F_DUMP);
  put_family(message, table.family());
  message.put_string(NFTA_SET_ELEM_LIST_TABLE, table.name());
  message.put_string(NFTA_SET_ELEM_LIST_SET, set);
  auto listed = netfilter.query(
      message, fmt::format("cannot list set {} of nftables table {}", set, table.name()),
      [&elements](const nlmsghdr* answer) {
        for_each_attribute(answer, sizeof(nfgenmsg), [&elements](const nlattr* attribute) {
          if (mnl_attr_get_type(attribute) != NFTA_SET_ELEM_LIST_ELEMENTS) return;
          for_each_nested(attribute, [&elements](const nlattr* nest) {
            elements.push_back(parse_element(nest));
          });
        });
      },
      [&elements] { elements.clear(); });
  if (!listed) return pass(listed);
  return elements;
}

}  // namespace vmnet
