#include "wire/path_mtu.h"

#include <algorithm>
#include <optional>

#include "wire/bytes.h"
#include "wire/checksum.h"

namespace vmnet {
namespace {

constexpr size_t kMinIpv4Mtu = 552;  // Linux' min_pmtu; what says less is ignored
constexpr size_t kMinIpv6Mtu = 1280;
constexpr size_t kErrorHeader = 8;  // ICMP and ICMPv6: what follows is the refused packet
constexpr uint8_t kUnreachable = 3;
constexpr uint8_t kFragmentationNeeded = 4;
constexpr uint8_t kPacketTooBig = 2;

struct Told {
  Bytes destination;
  size_t mtu = 0;
};

std::optional<Told> read_unreachable(Bytes packet) {
  auto ip = read_ipv4(packet);
  if (!ip || ip->protocol != kProtocolIcmp || ip->is_fragment()) return std::nullopt;
  Bytes message = packet.subspan(ip->size, ip->total_length - ip->size);
  if (message.size() < kErrorHeader + Ipv4Header::kMinSize || message[0] != kUnreachable ||
      message[1] != kFragmentationNeeded || !sum_is_valid(ones_sum(message))) {
    return std::nullopt;
  }
  // Routers older than RFC 1191 say 0.
  size_t mtu = load_be16(&message[6]);
  if (mtu < kMinIpv4Mtu) return std::nullopt;
  return Told{message.subspan(kErrorHeader + 16, 4), mtu};
}

std::optional<Told> read_too_big(Bytes packet) {
  auto ip = read_ipv6(packet);
  if (!ip || ip->next_header != kProtocolIcmpv6) return std::nullopt;
  Bytes message = packet.subspan(Ipv6Header::kSize, ip->payload_length);
  if (message.size() < kErrorHeader + Ipv6Header::kSize || message[0] != kPacketTooBig) {
    return std::nullopt;
  }
  uint16_t pseudo = pseudo_sum(ip->source, ip->destination, kProtocolIcmpv6, ip->payload_length);
  if (!sum_is_valid(ones_add(pseudo, ones_sum(message)))) return std::nullopt;
  size_t mtu = load_be32(&message[4]);
  if (mtu < kMinIpv6Mtu) return std::nullopt;
  return Told{message.subspan(kErrorHeader + 24, 16), mtu};
}

}  // namespace

void PathMtus::learn(Bytes frame) {
  size_t ip = ethernet_size(frame);
  if (ip < EthernetHeader::kSize) return;
  uint16_t type = load_be16(&frame[ip - 2]);
  std::optional<Told> told;
  if (type == kTypeIpv4) told = read_unreachable(frame.subspan(ip));
  if (type == kTypeIpv6) told = read_too_big(frame.subspan(ip));
  if (told) remember(told->destination, told->mtu);
}

void PathMtus::remember(Bytes destination, size_t mtu) {
  std::scoped_lock lock(mutex_);
  auto is_same = [&](const Entry& entry) {
    return std::ranges::equal(destination, std::span(entry.destination).first(entry.address_size));
  };
  auto entry = std::ranges::find_if(entries_, is_same);
  if (entry == entries_.end()) entry = std::ranges::min_element(entries_, {}, &Entry::learned);
  std::ranges::copy(destination, entry->destination.begin());
  entry->address_size = destination.size();
  entry->mtu = mtu;
  entry->learned = now_();
  any_ = true;
}

size_t PathMtus::mtu_for(Bytes frame, size_t mtu) const {
  auto layout = find_transport(frame);
  if (!layout || !layout->is_tcp()) return mtu;
  Bytes destination =
      layout->ipv6 ? frame.subspan(layout->ip + 24, 16) : frame.subspan(layout->ip + 16, 4);
  return towards(destination, mtu);
}

size_t PathMtus::towards(Bytes destination, size_t mtu) const {
  std::scoped_lock lock(mutex_);
  for (const Entry& entry : entries_) {
    auto known = std::span(entry.destination).first(entry.address_size);
    if (std::ranges::equal(destination, known) && now_() - entry.learned < kLifetime) {
      return std::min(mtu, entry.mtu);
    }
  }
  return mtu;
}

}  // namespace vmnet
