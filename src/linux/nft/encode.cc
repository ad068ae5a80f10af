#include "linux/nft/encode.h"

#include <algorithm>
#include <iterator>

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>

namespace vmnet {
namespace {

// All expressions work on one register of 16 bytes.
constexpr uint32_t kRegister = NFT_REG_1;

// Writes one expression: its name and its attributes.
class ExpressionWriter {
 public:
  ExpressionWriter(NetlinkMessage& message, uint32_t first_set_id)
      : message_(message), first_set_id_(first_set_id) {}

  void operator()(const NftLoad& load) const {
    const NftField& field = load.field;
    switch (field.source) {
      case NftSource::kMeta:
        return load_key("meta", NFTA_META_KEY, NFTA_META_DREG, field);
      case NftSource::kConntrack:
        return load_key("ct", NFTA_CT_KEY, NFTA_CT_DREG, field);
      case NftSource::kRoute:
        return load_key("rt", NFTA_RT_KEY, NFTA_RT_DREG, field);
      case NftSource::kHeader:
        return write("payload", [&] {
          put_nft_u32(message_, NFTA_PAYLOAD_DREG, kRegister);
          put_nft_u32(message_, NFTA_PAYLOAD_BASE, field.key);
          put_nft_u32(message_, NFTA_PAYLOAD_OFFSET, field.offset);
          put_nft_u32(message_, NFTA_PAYLOAD_LEN, field.type.length);
        });
      case NftSource::kIpv6Extension:
        return write("exthdr", [&] {
          put_nft_u32(message_, NFTA_EXTHDR_DREG, kRegister);
          message_.put_u8(NFTA_EXTHDR_TYPE, static_cast<uint8_t>(field.key));
          put_nft_u32(message_, NFTA_EXTHDR_OFFSET, field.offset);
          put_nft_u32(message_, NFTA_EXTHDR_LEN, field.type.length);
          put_nft_u32(message_, NFTA_EXTHDR_OP, NFT_EXTHDR_OP_IPV6);
        });
    }
  }

  void operator()(const NftMetaSet& meta) const {
    write("meta", [&] {
      put_nft_u32(message_, NFTA_META_KEY, meta.key);
      put_nft_u32(message_, NFTA_META_SREG, kRegister);
    });
  }

  void operator()(const NftMask& mask) const {
    write("bitwise", [&] {
      put_nft_u32(message_, NFTA_BITWISE_SREG, kRegister);
      put_nft_u32(message_, NFTA_BITWISE_DREG, kRegister);
      put_nft_u32(message_, NFTA_BITWISE_LEN, static_cast<uint32_t>(mask.mask.size()));
      put_nft_value(message_, NFTA_BITWISE_MASK, mask.mask);
      put_nft_value(message_, NFTA_BITWISE_XOR,
                    mask.flip.empty() ? NftBytes(mask.mask.size()) : mask.flip);
    });
  }

  void operator()(const NftCompare& compare) const {
    write("cmp", [&] {
      put_nft_u32(message_, NFTA_CMP_SREG, kRegister);
      put_nft_u32(message_, NFTA_CMP_OP,
                  compare.equal ? uint32_t{NFT_CMP_EQ} : uint32_t{NFT_CMP_NEQ});
      put_nft_value(message_, NFTA_CMP_DATA, compare.value);
    });
  }

  void operator()(const NftLookup& lookup) const {
    write("lookup", [&] {
      put_nft_u32(message_, NFTA_LOOKUP_SREG, kRegister);
      message_.put_string(NFTA_LOOKUP_SET, lookup.set.empty() ? kNftAnonymousSetName : lookup.set);
      if (lookup.set.empty()) {
        auto id = static_cast<uint32_t>(first_set_id_ + lookup.anonymous);
        put_nft_u32(message_, NFTA_LOOKUP_SET_ID, id);
      }
      if (lookup.inverted) put_nft_u32(message_, NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
    });
  }

  void operator()(const NftUpdate& update) const {
    write("dynset", [&] {
      message_.put_string(NFTA_DYNSET_SET_NAME, update.set);
      put_nft_u32(message_, NFTA_DYNSET_OP,
                  update.refresh ? uint32_t{NFT_DYNSET_OP_UPDATE} : uint32_t{NFT_DYNSET_OP_ADD});
      put_nft_u32(message_, NFTA_DYNSET_SREG_KEY, kRegister);
      if (update.timeout.count() != 0) {
        put_u64(NFTA_DYNSET_TIMEOUT, static_cast<uint64_t>(update.timeout.count()));
      }
      if (!update.limit) return;
      put_nft_u32(message_, NFTA_DYNSET_FLAGS, NFT_DYNSET_F_EXPR);
      nlattr* held = message_.begin_nest(NFTA_DYNSET_EXPRESSIONS);  // Linux 5.11
      (*this)(*update.limit);
      if (update.connections != 0) {
        write("connlimit",
              [&] { put_nft_u32(message_, NFTA_CONNLIMIT_COUNT, update.connections); });
      }
      message_.end_nest(held);
    });
  }

  void operator()(const NftLimit& limit) const {
    write("limit", [&] {
      constexpr uint64_t kSecond = 1;
      put_u64(NFTA_LIMIT_RATE, limit.rate);
      put_u64(NFTA_LIMIT_UNIT, kSecond);
      put_nft_u32(message_, NFTA_LIMIT_BURST, limit.burst);
      put_nft_u32(message_, NFTA_LIMIT_TYPE,
                  limit.bytes ? uint32_t{NFT_LIMIT_PKT_BYTES} : uint32_t{NFT_LIMIT_PKTS});
      if (limit.over) put_nft_u32(message_, NFTA_LIMIT_FLAGS, NFT_LIMIT_F_INV);
    });
  }

  void operator()(const NftVerdict& verdict) const {
    write("immediate", [&] {
      put_nft_u32(message_, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
      nlattr* data = message_.begin_nest(NFTA_IMMEDIATE_DATA);
      nlattr* nest = message_.begin_nest(NFTA_DATA_VERDICT);
      put_nft_u32(message_, NFTA_VERDICT_CODE, static_cast<uint32_t>(verdict.code));
      if (!verdict.chain.empty()) message_.put_string(NFTA_VERDICT_CHAIN, verdict.chain);
      message_.end_nest(nest);
      message_.end_nest(data);
    });
  }

  void operator()(const NftMasquerade& masquerade) const {
    if (!masquerade.ports) return write("masq", [] {});
    constexpr uint32_t kSecondRegister = NFT_REG_2;
    load_port(kRegister, masquerade.ports->first);
    load_port(kSecondRegister, masquerade.ports->last);
    write("masq", [&] {
      put_nft_u32(message_, NFTA_MASQ_FLAGS, NF_NAT_RANGE_PROTO_SPECIFIED);
      put_nft_u32(message_, NFTA_MASQ_REG_PROTO_MIN, kRegister);
      put_nft_u32(message_, NFTA_MASQ_REG_PROTO_MAX, kSecondRegister);
    });
  }

 private:
  void load_key(std::string_view name, uint16_t key, uint16_t target, const NftField& field) const {
    write(name, [&] {
      put_nft_u32(message_, key, field.key);
      put_nft_u32(message_, target, kRegister);
    });
  }

  void load_port(uint32_t target, uint16_t port) const {
    write("immediate", [&] {
      put_nft_u32(message_, NFTA_IMMEDIATE_DREG, target);
      put_nft_value(message_, NFTA_IMMEDIATE_DATA, nft_bytes(kNftInetService, uint32_t{port}));
    });
  }

  void put_u64(uint16_t type, uint64_t value) const {
    value = htobe64(value);
    message_.put_bytes(type, &value, sizeof(value));
  }

  template <typename PutAttributes>
  void write(std::string_view name, PutAttributes put_attributes) const {
    nlattr* element = message_.begin_nest(NFTA_LIST_ELEM);
    message_.put_string(NFTA_EXPR_NAME, name);
    nlattr* data = message_.begin_nest(NFTA_EXPR_DATA);
    put_attributes();
    message_.end_nest(data);
    message_.end_nest(element);
  }

  NetlinkMessage& message_;
  uint32_t first_set_id_;
};

using Notes = std::vector<uint8_t>;

// Each note is a type and a length of a byte each, then its value; numbers are the host's.
void put_note(Notes& notes, uint8_t type, const Notes& value) {
  notes.push_back(type);
  notes.push_back(static_cast<uint8_t>(value.size()));
  std::ranges::copy(value, std::back_inserter(notes));
}

void put_note(Notes& notes, uint8_t type, uint32_t value) {
  put_note(notes, type, nft_bytes(kNftNumber, value));
}

// "typeof @th,64,128", as nft's parser holds it.
Notes type_of(const NftField& field) {
  constexpr uint32_t kPayloadExpression = 7;
  constexpr uint32_t kNoProtocol = 0;
  Notes payload;
  put_note(payload, 0, kNoProtocol);
  put_note(payload, 1, 0);              // of its fields: none
  put_note(payload, 2, field.key + 1);  // nft counts from "no base"
  put_note(payload, 3, field.offset * 8);
  put_note(payload, 4, field.type.length * 8);
  Notes notes;
  put_note(notes, 0, kPayloadExpression);
  put_note(notes, 1, payload);
  return notes;
}

}  // namespace

std::vector<uint8_t> nft_set_notes(const NftSet& set) {
  constexpr uint8_t kKeyByteOrder = 0;
  constexpr uint8_t kKeyTypeOf = 3;
  constexpr uint32_t kHostOrder = 1;
  constexpr uint32_t kBigEndian = 2;
  Notes notes;
  put_note(notes, kKeyByteOrder, set.type.host_order ? kHostOrder : kBigEndian);
  if (set.raw_field) put_note(notes, kKeyTypeOf, type_of(*set.raw_field));
  return notes;
}

void put_nft_u32(NetlinkMessage& message, uint16_t type, uint32_t value) {
  message.put_u32(type, htonl(value));
}

void put_nft_value(NetlinkMessage& message, uint16_t type, const NftBytes& bytes) {
  nlattr* nest = message.begin_nest(type);
  message.put_bytes(NFTA_DATA_VALUE, bytes.data(), bytes.size());
  message.end_nest(nest);
}

void put_nft_expressions(NetlinkMessage& message, const NftRule& rule, uint32_t first_set_id) {
  nlattr* list = message.begin_nest(NFTA_RULE_EXPRESSIONS);
  ExpressionWriter writer(message, first_set_id);
  for (const NftExpression& expression : rule.expressions()) std::visit(writer, expression);
  message.end_nest(list);
}

}  // namespace vmnet
