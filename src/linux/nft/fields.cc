#include "linux/nft/fields.h"

#include <algorithm>
#include <bit>

namespace vmnet {
namespace {

struct Encode {
  const NftType& type;

  NftBytes operator()(uint32_t number) const {
    NftBytes bytes = big_endian(number, type.length);
    if (type.host_order && std::endian::native == std::endian::little) std::ranges::reverse(bytes);
    return bytes;
  }
  NftBytes operator()(const Mac& mac) const { return {mac.bytes.begin(), mac.bytes.end()}; }
  NftBytes operator()(Ipv4 address) const { return big_endian(address.value, sizeof(uint32_t)); }
  NftBytes operator()(const Ipv4Subnet& subnet) const { return (*this)(subnet.address); }
  NftBytes operator()(const Ipv6& address) const {
    return {address.bytes.begin(), address.bytes.end()};
  }
  NftBytes operator()(const Ipv6Prefix& prefix) const { return (*this)(prefix.address); }
  // A name as the kernel holds it: 16 bytes, zero-filled.
  NftBytes operator()(std::string_view name) const {
    if (name.ends_with('*')) return {name.begin(), name.end() - 1};
    NftBytes bytes(name.begin(), name.end());
    bytes.resize(type.length);
    return bytes;
  }
  NftBytes operator()(const NftBytes& bytes) const { return bytes; }

 private:
  static NftBytes big_endian(uint32_t number, size_t size) {
    NftBytes bytes(size);
    for (size_t i = 0; i < size; i++) {
      bytes[i] = static_cast<uint8_t>(number >> (8 * (size - 1 - i)));
    }
    return bytes;
  }
};

}  // namespace

NftBytes nft_bytes(const NftType& type, const NftValue& value) {
  return std::visit(Encode{type}, value);
}

}  // namespace vmnet
