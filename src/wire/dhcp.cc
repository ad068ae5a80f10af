#include "wire/dhcp.h"

#include <algorithm>
#include <array>
#include <utility>

#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/dhcp_message.h"

namespace vmnet {
namespace {

constexpr Ipv4 kLimitedBroadcast{0xffffffff};
constexpr Ipv4 kUnspecified{0};
constexpr size_t kMaxDnsServers = 6;

// A request with what its frame says of the sender.
struct Received {
  EthernetHeader ethernet;
  DhcpRequest request;
};

// RFC 768: a zero checksum is none. An unfinished one holds the pseudo-header's sum.
bool udp_checksum_is_acceptable(const Ipv4Header& ip, const UdpHeader& udp, Bytes datagram) {
  if (udp.checksum == 0) return true;
  uint16_t pseudo = pseudo_sum(ip.source, ip.destination, kProtocolUdp, udp.length);
  return udp.checksum == pseudo ||
         sum_is_valid(ones_add(pseudo, ones_sum(datagram.first(udp.length))));
}

std::optional<Received> receive(const DhcpConfig& config, Bytes frame) {
  auto ethernet = read_ethernet(frame);
  if (!ethernet || ethernet->type != kTypeIpv4) return std::nullopt;
  bool to_us = ethernet->destination == config.gateway_mac || ethernet->destination.is_multicast();
  Bytes packet = frame.subspan(ethernet->size);
  auto ip = read_ipv4(packet);
  if (!to_us || !ip || ip->is_fragment() || ip->protocol != kProtocolUdp) return std::nullopt;
  if (!ipv4_checksum_is_valid(packet.first(ip->size))) return std::nullopt;
  if (ip->destination != kLimitedBroadcast && ip->destination != config.gateway &&
      ip->destination != config.subnet.broadcast()) {
    return std::nullopt;
  }
  Bytes datagram = packet.subspan(ip->size, ip->total_length - ip->size);
  auto udp = read_udp(datagram);
  if (!udp || udp->destination_port != kDhcpServerPort) return std::nullopt;
  if (!udp_checksum_is_acceptable(*ip, *udp, datagram)) return std::nullopt;
  auto request =
      read_dhcp_request(datagram.subspan(UdpHeader::kSize, udp->length - UdpHeader::kSize));
  if (!request) return std::nullopt;
  return Received{*ethernet, *request};
}

DhcpType ack_if(bool right) { return right ? DhcpType::kAck : DhcpType::kNak; }

// RFC 2131, section 4.3.2. This server knows every address of its one client, so where the RFC lets
// only a server with a record of the client say no, it does: the client then starts over at once.
std::optional<DhcpType> answer_to_request(const DhcpConfig& config, const DhcpRequest& request) {
  if (request.server_id) {  // selecting
    if (*request.server_id != config.gateway || !request.requested) return std::nullopt;
    return ack_if(*request.requested == config.address);
  }
  if (request.requested) return ack_if(*request.requested == config.address);  // init-reboot
  if (request.client == kUnspecified) return std::nullopt;
  return ack_if(request.client == config.address);  // renewing, rebinding
}

// What to answer, nothing for silence.
std::optional<DhcpType> answer(const DhcpConfig& config, const DhcpRequest& request) {
  // A relay stands in the subnet that its client needs an address of; we have but one subnet.
  if (request.relay != kUnspecified && !config.subnet.contains(request.relay)) return std::nullopt;
  switch (request.type) {
    case DhcpType::kDiscover:
      return DhcpType::kOffer;
    case DhcpType::kRequest:
      return answer_to_request(config, request);
    case DhcpType::kInform:
      if (!config.subnet.contains(request.client)) return std::nullopt;
      return DhcpType::kAck;
    default:
      // DECLINE: the address is in use by a neighbour; there is no other one to offer and the
      // client tries again after its pause. RELEASE: the address stays the VM's.
      return std::nullopt;
  }
}

struct Destination {
  Mac mac;
  Ipv4 address;
  uint16_t port = kDhcpClientPort;
};

// RFC 2131, section 4.1.
Destination destination_of(const Received& received, DhcpType type, Ipv4 yours) {
  const DhcpRequest& request = received.request;
  if (request.relay != kUnspecified) {
    return {received.ethernet.source, request.relay, kDhcpServerPort};
  }
  if (type == DhcpType::kNak) return {kBroadcastMac, kLimitedBroadcast};
  if (request.client != kUnspecified) return {request.hardware, request.client};
  if (request.wants_broadcast()) return {kBroadcastMac, kLimitedBroadcast};
  return {request.hardware, yours};
}

void add_lease(DhcpWriter& writer, std::chrono::seconds lease) {
  auto seconds = static_cast<uint32_t>(lease.count());
  writer.add_u32(DhcpOption::kLeaseTime, seconds);
  writer.add_u32(DhcpOption::kRenewalTime, seconds / 2);
  writer.add_u32(DhcpOption::kRebindingTime, seconds - (seconds / 8));
}

void add_dns_servers(DhcpWriter& writer, const DhcpConfig& config) {
  uint8_t servers[kMaxDnsServers * 4];
  size_t count = std::min(config.dns_servers.size(), kMaxDnsServers);
  for (size_t i = 0; i < count; i++) store_be32(servers + (4 * i), config.dns_servers[i].value);
  if (count > 0) writer.add(DhcpOption::kDnsServers, Bytes(servers, 4 * count));
}

void add_network_option(DhcpWriter& writer, const DhcpConfig& config, DhcpOption option) {
  switch (option) {
    case DhcpOption::kSubnetMask:
      return writer.add(option, config.subnet.mask());
    case DhcpOption::kRouter:
      if (config.router) writer.add(option, *config.router);
      return;
    case DhcpOption::kDnsServers:
      return add_dns_servers(writer, config);
    case DhcpOption::kMtu:
      return writer.add_u16(option, config.mtu);
    default:
      return;
  }
}

// In the order that the client asks for them (RFC 2132, section 9.8); then those that it does not
// ask for, since a client that asks for too little is to get out as well.
void add_network(DhcpWriter& writer, const DhcpConfig& config, Bytes wanted) {
  std::array options = {DhcpOption::kSubnetMask, DhcpOption::kRouter, DhcpOption::kDnsServers,
                        DhcpOption::kMtu};
  auto place = [wanted](DhcpOption option) {
    auto code = static_cast<uint8_t>(option);
    return std::pair(std::ranges::find(wanted, code) - wanted.begin(), code);
  };
  std::ranges::sort(options, {}, place);
  // Section 3.3: the mask comes before the router.
  auto mask = std::ranges::find(options, DhcpOption::kSubnetMask);
  auto router = std::ranges::find(options, DhcpOption::kRouter);
  if (router < mask) std::rotate(router, mask, mask + 1);
  for (DhcpOption option : options) add_network_option(writer, config, option);
}

// Which options belong into which message: RFC 2131, table 3.
size_t write_message(const DhcpConfig& config, const DhcpRequest& request, DhcpType type,
                     Ipv4 yours, MutableBytes to) {
  bool nak = type == DhcpType::kNak;
  DhcpReply reply{.transaction = request.transaction,
                  .flags = request.flags,
                  .client = type == DhcpType::kAck ? request.client : kUnspecified,
                  .yours = yours,
                  .relay = request.relay,
                  .hardware_field = request.hardware_field};
  // Section 4.3.2: the relay is to broadcast a NAK, since the client's address may be wrong.
  if (nak && request.relay != kUnspecified) reply.flags |= DhcpRequest::kBroadcastFlag;
  DhcpWriter writer(reply, to);
  writer.add(DhcpOption::kMessageType, static_cast<uint8_t>(type));
  writer.add(DhcpOption::kServerId, config.gateway);
  if (!nak) {
    if (request.type != DhcpType::kInform) add_lease(writer, config.lease);
    add_network(writer, config, request.parameters);
  }
  if (!request.client_id.empty()) writer.add(DhcpOption::kClientId, request.client_id);
  if (!request.relay_agent.empty()) writer.add(DhcpOption::kRelayAgent, request.relay_agent);
  return writer.finish();
}

// Puts Ethernet, IPv4 and UDP headers in front of a message that is already in its place.
size_t write_headers(const DhcpConfig& config, const Received& received, const Destination& to,
                     size_t message_size, MutableBytes out) {
  EthernetHeader ethernet{.destination = to.mac,
                          .source = config.gateway_mac,
                          .type = kTypeIpv4,
                          .priority_tag = received.ethernet.priority_tag};
  size_t at = write_ethernet(ethernet, out);
  size_t udp_size = UdpHeader::kSize + message_size;
  Ipv4Header ip{.total_length = static_cast<uint16_t>(Ipv4Header::kMinSize + udp_size),
                .protocol = kProtocolUdp,
                .source = config.gateway,
                .destination = to.address};
  at += write_ipv4(ip, out.subspan(at));
  UdpHeader udp{.source_port = kDhcpServerPort,
                .destination_port = to.port,
                .length = static_cast<uint16_t>(udp_size)};
  MutableBytes datagram = out.subspan(at, udp_size);
  write_udp(udp, datagram);
  uint16_t pseudo = pseudo_sum(ip.source, ip.destination, kProtocolUdp, udp.length);
  uint16_t checksum = checksum_of(ones_add(pseudo, ones_sum(datagram)));
  udp.checksum = checksum == 0 ? 0xffff : checksum;
  write_udp(udp, datagram);
  return at + udp_size;
}

}  // namespace

std::optional<size_t> DhcpServer::reply(Bytes frame, MutableBytes out, TimePoint now) {
  auto received = receive(config_, frame);
  if (!received) return std::nullopt;
  const DhcpRequest& request = received->request;
  bool informs = request.type == DhcpType::kInform;  // has an address already
  if (!informs && is_anothers(request.hardware, now)) return std::nullopt;
  if (request.type == DhcpType::kRelease && request.client == config_.address) forget_client();
  auto type = answer(config_, request);
  if (!type || out.size() < kMaxReply) return std::nullopt;
  bool gives_address = *type != DhcpType::kNak && !informs;
  if (gives_address && *type == DhcpType::kAck) {
    client_ = request.hardware;
    heard_ = now;
  }
  Ipv4 yours = gives_address ? config_.address : kUnspecified;
  Destination to = destination_of(*received, *type, yours);
  size_t headers = received->ethernet.size + Ipv4Header::kMinSize + UdpHeader::kSize;
  size_t room = kMaxReply - (EthernetHeader::kSize + EthernetHeader::kTagSize +
                             Ipv4Header::kMinSize + UdpHeader::kSize);
  size_t message = write_message(config_, request, *type, yours, out.subspan(headers, room));
  return write_headers(config_, *received, to, message, out);
}

}  // namespace vmnet
