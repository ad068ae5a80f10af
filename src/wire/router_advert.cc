#include "wire/router_advert.h"

#include <algorithm>

#include "wire/bytes.h"
#include "wire/checksum.h"

namespace vmnet {
namespace {

constexpr Ipv6 kAllNodes{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
constexpr Mac kAllNodesMac{{0x33, 0x33, 0, 0, 0, 1}};
constexpr uint8_t kNdHopLimit = 255;
constexpr size_t kSolicitationSize = 8;
constexpr size_t kAdvertSize = 16;

constexpr uint8_t kSourceLinkLayer = 1;
constexpr uint8_t kPrefixInformation = 3;
constexpr uint8_t kMtuOption = 5;
constexpr uint8_t kRdnss = 25;
constexpr size_t kMaxRdnssServers = 8;

// Lives on through the loss of two advertisements; RFC 4861 and 8106 both say three intervals.
constexpr uint32_t kRouterLifetime = 3 * 600;
constexpr uint32_t kPrefixValid = 86'400;
constexpr uint32_t kPrefixPreferred = 14'400;

struct Solicitation {
  EthernetHeader ethernet;
  Ipv6 source;
};

// True where every option has a length; a sender without address may not name a link-layer one.
bool options_are_valid(Bytes options, bool unspecified_source) {
  while (!options.empty()) {
    if (options.size() < 2 || options[1] == 0) return false;
    size_t size = size_t{8} * options[1];
    if (size > options.size()) return false;
    if (unspecified_source && options[0] == kSourceLinkLayer) return false;
    options = options.subspan(size);
  }
  return true;
}

std::optional<Solicitation> read_solicitation(Bytes frame) {
  auto ethernet = read_ethernet(frame);
  if (!ethernet || ethernet->type != kTypeIpv6) return std::nullopt;
  Bytes packet = frame.subspan(ethernet->size);
  auto ip = read_ipv6(packet);
  if (!ip || ip->next_header != kProtocolIcmpv6 || ip->hop_limit != kNdHopLimit) {
    return std::nullopt;
  }
  Bytes message = packet.subspan(Ipv6Header::kSize, ip->payload_length);
  auto icmp = read_icmpv6(message);
  if (!icmp || icmp->type != kRouterSolicitation || icmp->code != 0) return std::nullopt;
  if (message.size() < kSolicitationSize || ip->source.is_multicast()) return std::nullopt;
  uint16_t pseudo = pseudo_sum(ip->source, ip->destination, kProtocolIcmpv6, ip->payload_length);
  bool checksum_is_acceptable =
      icmp->checksum == pseudo || sum_is_valid(ones_add(pseudo, ones_sum(message)));
  if (!checksum_is_acceptable) return std::nullopt;
  if (!options_are_valid(message.subspan(kSolicitationSize), ip->source.is_zero())) {
    return std::nullopt;
  }
  return Solicitation{*ethernet, ip->source};
}

size_t write_source_link_layer(const Mac& mac, MutableBytes to) {
  to[0] = kSourceLinkLayer;
  to[1] = 1;
  std::ranges::copy(mac.bytes, to.begin() + 2);
  return 8;
}

size_t write_mtu(uint32_t mtu, MutableBytes to) {
  MutableBytes option = to.first(8);
  std::ranges::fill(option, uint8_t{0});
  option[0] = kMtuOption;
  option[1] = 1;
  store_be32(option.data() + 4, mtu);
  return option.size();
}

size_t write_prefix(const Ipv6& prefix, MutableBytes to) {
  constexpr uint8_t kOnLink = 0x80;
  constexpr uint8_t kAutonomous = 0x40;
  MutableBytes option = to.first(32);
  std::ranges::fill(option, uint8_t{0});
  option[0] = kPrefixInformation;
  option[1] = 4;
  option[2] = 64;
  option[3] = kOnLink | kAutonomous;
  store_be32(option.data() + 4, kPrefixValid);
  store_be32(option.data() + 8, kPrefixPreferred);
  std::copy_n(prefix.bytes.begin(), 8, option.begin() + 16);
  return option.size();
}

size_t write_rdnss(const std::vector<Ipv6>& servers, MutableBytes to) {
  size_t count = std::min(servers.size(), kMaxRdnssServers);
  if (count == 0) return 0;
  MutableBytes option = to.first(8 + (16 * count));
  option[0] = kRdnss;
  option[1] = static_cast<uint8_t>(1 + (2 * count));
  store_be16(option.data() + 2, 0);
  store_be32(option.data() + 4, kRouterLifetime);
  for (size_t i = 0; i < count; i++) {
    std::ranges::copy(servers[i].bytes, option.begin() + static_cast<ptrdiff_t>(8 + (16 * i)));
  }
  return option.size();
}

size_t write_advert(const RouterAdvertConfig& config, MutableBytes to) {
  constexpr uint8_t kHopLimitForHosts = 64;
  std::ranges::fill(to.first(kAdvertSize), uint8_t{0});
  write_icmpv6({.type = kRouterAdvertisement}, to);
  to[4] = kHopLimitForHosts;
  uint32_t lifetime = config.is_default_router ? kRouterLifetime : 0;
  store_be16(to.data() + 6, static_cast<uint16_t>(lifetime));
  size_t size = kAdvertSize;
  size += write_source_link_layer(config.gateway_mac, to.subspan(size));
  size += write_mtu(config.mtu, to.subspan(size));
  size += write_prefix(config.prefix, to.subspan(size));
  size += write_rdnss(config.dns_servers, to.subspan(size));
  return size;
}

}  // namespace

std::optional<size_t> RouterAdvertiser::reply(Bytes frame, MutableBytes out) const {
  auto solicitation = read_solicitation(frame);
  if (!solicitation || out.size() < kMaxReply) return std::nullopt;
  if (solicitation->source.is_zero()) return advertise(out);
  EthernetHeader ethernet{.destination = solicitation->ethernet.source,
                          .source = config_.gateway_mac,
                          .type = kTypeIpv6,
                          .priority_tag = solicitation->ethernet.priority_tag};
  return write(ethernet, solicitation->source, out);
}

size_t RouterAdvertiser::advertise(MutableBytes out) const {
  EthernetHeader ethernet{.destination = kAllNodesMac,
                          .source = config_.gateway_mac,
                          .type = kTypeIpv6,
                          .priority_tag = {}};
  return write(ethernet, kAllNodes, out);
}

size_t RouterAdvertiser::write(const EthernetHeader& ethernet, const Ipv6& destination,
                               MutableBytes out) const {
  size_t ip_at = write_ethernet(ethernet, out);
  size_t icmp_at = ip_at + Ipv6Header::kSize;
  size_t size = write_advert(config_, out.subspan(icmp_at));
  Ipv6Header ip{.payload_length = static_cast<uint16_t>(size),
                .next_header = kProtocolIcmpv6,
                .hop_limit = kNdHopLimit,
                .source = config_.gateway_link_local,
                .destination = destination};
  write_ipv6(ip, out.subspan(ip_at));
  MutableBytes message = out.subspan(icmp_at, size);
  uint16_t pseudo = pseudo_sum(ip.source, ip.destination, kProtocolIcmpv6, ip.payload_length);
  store_be16(message.data() + Icmpv6Header::kChecksumAt,
             checksum_of(ones_add(pseudo, ones_sum(message))));
  return icmp_at + size;
}

}  // namespace vmnet
