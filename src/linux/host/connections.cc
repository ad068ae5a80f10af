#include "linux/host/connections.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>

#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sys/socket.h>

#include "linux/rules/vm_rules.h"

namespace vmnet {
namespace {

constexpr int kIpv4Bits = 32;
constexpr int kIpv6Bits = 128;

// What a connection is deleted by. `original` is the kernel's own tuple, handed back as it came.
struct Connection {
  uint8_t family = AF_UNSPEC;
  NftBytes original;
  NftBytes zone;
  NftBytes id;
};

NftBytes bytes_of(const nlattr* attribute) {
  const auto* bytes = static_cast<const uint8_t*>(mnl_attr_get_payload(attribute));
  return {bytes, bytes + mnl_attr_get_payload_len(attribute)};
}

bool contains(const Ipv6Prefix& prefix, const NftBytes& address) {
  for (size_t i = 0, bits = static_cast<size_t>(prefix.length); bits > 0; i++) {
    const size_t some = std::min<size_t>(8, bits);
    const auto mask = static_cast<uint8_t>(0xff << (8 - some));
    if (((prefix.address.bytes[i] ^ address[i]) & mask) != 0) return false;
    bits -= some;
  }
  return true;
}

bool contains(std::span<const AddressBlock> blocks, const nlattr* address) {
  const NftBytes bytes = bytes_of(address);
  const uint16_t type = mnl_attr_get_type(address);
  return std::ranges::any_of(blocks, [&](const AddressBlock& block) {
    if (const auto* subnet = std::get_if<Ipv4Subnet>(&block)) {
      return type == CTA_IP_V4_SRC && bytes.size() == sizeof(uint32_t) &&
             subnet->contains({ntohl(mnl_attr_get_u32(address))});
    }
    const auto& prefix = std::get<Ipv6Prefix>(block);
    return type == CTA_IP_V6_SRC && bytes.size() == prefix.address.bytes.size() &&
           contains(prefix, bytes);
  });
}

bool comes_from(const nlattr* tuple, std::span<const AddressBlock> blocks) {
  bool found = false;
  for_each_nested(tuple, [&](const nlattr* part) {
    if (mnl_attr_get_type(part) != CTA_TUPLE_IP) return;
    for_each_nested(part,
                    [&](const nlattr* address) { found = found || contains(blocks, address); });
  });
  return found;
}

constexpr uint16_t conntrack(uint16_t type) {
  return static_cast<uint16_t>((NFNL_SUBSYS_CTNETLINK << 8) | type);
}

void put_family(NetlinkMessage& message, uint8_t family) {
  auto* header = message.add_family_header<nfgenmsg>();
  header->nfgen_family = family;
  header->version = NFNETLINK_V0;
}

// A kernel without ctnetlink, or one that cannot load it, knows no such message.
bool means_nothing_is_tracked(const Error& error) {
  return error.os_errno == EINVAL || error.os_errno == EOPNOTSUPP;
}

// The number of all that are tracked, which costs nothing: the table is not looked at.
Result<uint32_t> count_connections(NetlinkSocket& netfilter) {
  NetlinkMessage message(conntrack(IPCTNL_MSG_CT_GET_STATS), 0);
  put_family(message, AF_UNSPEC);
  uint32_t count = 0;
  auto counted = netfilter.query(
      message, "cannot count the host's tracked connections", [&count](const nlmsghdr* answer) {
        for_each_attribute(answer, sizeof(nfgenmsg), [&count](const nlattr* attribute) {
          if (mnl_attr_get_type(attribute) != CTA_STATS_GLOBAL_ENTRIES) return;
          count = ntohl(mnl_attr_get_u32(attribute));
        });
      });
  if (!counted) return pass(counted);
  return count;
}

// Of those that have all bits of `status`; before Linux 5.18 the kernel sends the others as well.
Status list_connections(NetlinkSocket& netfilter, std::span<const AddressBlock> blocks,
                        uint32_t status, std::vector<Connection>& found) {
  NetlinkMessage message(conntrack(IPCTNL_MSG_CT_GET), NLM_F_DUMP);
  put_family(message, AF_UNSPEC);
  message.put_u32(CTA_STATUS, htonl(status));
  message.put_u32(CTA_STATUS_MASK, htonl(status));
  const size_t before = found.size();
  return netfilter.query(
      message, "cannot list the host's tracked connections",
      [&](const nlmsghdr* answer) {
        const auto* header = static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(answer));
        Connection connection{.family = header->nfgen_family};
        bool meant = false;
        for_each_attribute(answer, sizeof(nfgenmsg), [&](const nlattr* attribute) {
          const uint16_t type = mnl_attr_get_type(attribute);
          const bool original = type == CTA_TUPLE_ORIG;
          if (original || type == CTA_TUPLE_REPLY) meant = meant || comes_from(attribute, blocks);
          if (original) connection.original = bytes_of(attribute);
          if (type == CTA_ZONE) connection.zone = bytes_of(attribute);
          if (type == CTA_ID) connection.id = bytes_of(attribute);
        });
        if (meant) found.push_back(std::move(connection));
      },
      [&] { found.resize(before); });
}

Status delete_connection(NetlinkSocket& netfilter, const Connection& connection) {
  NetlinkMessage message(conntrack(IPCTNL_MSG_CT_DELETE), 0);
  put_family(message, connection.family);
  message.put_bytes(CTA_TUPLE_ORIG | NLA_F_NESTED, connection.original.data(),
                    connection.original.size());
  message.put_bytes(CTA_ID, connection.id.data(), connection.id.size());
  if (!connection.zone.empty()) {
    message.put_bytes(CTA_ZONE, connection.zone.data(), connection.zone.size());
  }
  // ROOT: what the kernel itself has just listed.
  return netfilter.request(message, "cannot have the host forget a tracked connection");
}

}  // namespace

std::vector<AddressBlock> addresses_of(const VmRecord& vm,
                                       const std::optional<Ipv6>& network_prefix) {
  std::vector<AddressBlock> blocks;
  if (vm.address) blocks.emplace_back(Ipv4Subnet{*vm.address, kIpv4Bits});
  if (vm.ipv6_prefix) {
    blocks.emplace_back(Ipv6Prefix{.address = *vm.ipv6_prefix});
  } else if (network_prefix) {
    blocks.emplace_back(Ipv6Prefix{address_from_mac(*network_prefix, vm.mac), kIpv6Bits});
  }
  return blocks;
}

std::vector<AddressBlock> addresses_of(const NetworkRecord& network) {
  std::vector<AddressBlock> blocks;
  if (network.addresses) blocks.emplace_back(network.addresses->subnet());
  if (network.ipv6_prefix) blocks.emplace_back(Ipv6Prefix{.address = *network.ipv6_prefix});
  return blocks;
}

Status forget_connections(NetlinkSocket& netfilter, std::span<const AddressBlock> blocks) {
  if (blocks.empty()) return {};
  auto tracked = count_connections(netfilter);
  if (!tracked && means_nothing_is_tracked(tracked.error())) return {};
  if (!tracked) return pass(tracked);
  if (*tracked == 0) return {};
  std::vector<Connection> connections;
  for (const uint32_t status : {uint32_t{IPS_SRC_NAT}, uint32_t{IPS_DST_NAT}}) {
    auto listed = list_connections(netfilter, blocks, status, connections);
    if (!listed && means_nothing_is_tracked(listed.error())) return {};
    if (!listed) return listed;
  }
  for (const Connection& connection : connections) {
    auto deleted = delete_connection(netfilter, connection);
    // It may have ended by itself, or been listed twice.
    if (!deleted && deleted.error().os_errno != ENOENT) return deleted;
  }
  return {};
}

}  // namespace vmnet
