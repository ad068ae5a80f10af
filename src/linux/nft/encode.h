// The netlink form of rule expressions.
#pragma once

#include <cstdint>
#include <vector>

#include "linux/netlink/netlink.h"
#include "linux/nft/builder.h"

namespace vmnet {

// nftables' integers are big endian on the wire.
void put_nft_u32(NetlinkMessage& message, uint16_t type, uint32_t value);

// `bytes` as nft data (NFTA_DATA_VALUE) inside the attribute `type`.
void put_nft_value(NetlinkMessage& message, uint16_t type, const NftBytes& bytes);

// The expressions of `rule` inside NFTA_RULE_EXPRESSIONS. Its anonymous sets, in order, have the
// transaction's ids from `first_set_id` on.
void put_nft_expressions(NetlinkMessage& message, const NftRule& rule, uint32_t first_set_id);

// The name under which an anonymous set is made and looked up: the kernel fills in a number.
inline constexpr const char* kNftAnonymousSetName = "__set%d";

// What nft wants to be told of a set, which the kernel keeps for it without looking: in which order
// the bytes of its elements are and, of raw values, what they are compared with. Source: libnftnl's
// udata.h and what nft 1.0.6 writes (`strace nft`).
std::vector<uint8_t> nft_set_notes(const NftSet& set);

}  // namespace vmnet
