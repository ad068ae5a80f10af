#include "wire/dhcp.h"

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include <gtest/gtest.h>

#include "wire/test_frames.h"

namespace vmnet {
namespace {

using test::Buffer;

const Mac kGatewayMac = *parse_mac("0e:76:6d:00:00:01");
const Mac kVmMac = *parse_mac("52:54:00:12:34:56");
constexpr Ipv4 kGateway{0xc0a84001};
constexpr Ipv4 kAddress{0xc0a84002};
constexpr Ipv4 kOther{0xc0a84007};
constexpr Ipv4 kEveryone{0xffffffff};

DhcpConfig config() {
  return {.gateway = kGateway,
          .gateway_mac = kGatewayMac,
          .subnet = subnet_of(kGateway, 24),
          .address = kAddress,
          .router = kGateway,
          .dns_servers = {Ipv4{0x01010101}, Ipv4{0x08080808}}};
}

Buffer option(uint8_t code, std::initializer_list<uint8_t> value) {
  Buffer bytes{code, static_cast<uint8_t>(value.size())};
  bytes.insert(bytes.end(), value);
  return bytes;
}

Buffer option(uint8_t code, Ipv4 address) {
  Buffer bytes{code, 4, 0, 0, 0, 0};
  store_be32(bytes.data() + 2, address.value);
  return bytes;
}

// A client's message and the frame around it.
struct Request {
  Buffer options;
  Ipv4 client{};
  Ipv4 relay{};
  uint16_t flags = 0;
  Ipv4 source{};
  Ipv4 destination = kEveryone;
  Mac to = kBroadcastMac;
  uint16_t source_port = 68;
  enum { kGood, kUnfinished, kNone, kBad } checksum = kGood;

  Buffer message() const {
    Buffer message(240);
    message[0] = message[1] = 1;
    message[2] = 6;
    store_be32(message.data() + 4, 0xdeadbeef);
    store_be16(message.data() + 10, flags);
    store_be32(message.data() + 12, client.value);
    store_be32(message.data() + 24, relay.value);
    std::ranges::copy(kVmMac.bytes, message.begin() + 28);
    store_be32(message.data() + 236, 0x63825363);
    test::append(message, options);
    message.push_back(255);
    return message;
  }

  Buffer frame() const { return frame_of(message()); }

  Buffer frame_of(const Buffer& message) const {
    Buffer udp = test::udp_datagram(source_port, 67, message);
    uint16_t pseudo = pseudo_sum(source, destination, 17, static_cast<uint32_t>(udp.size()));
    if (checksum == kGood || checksum == kBad) test::finish(udp, 6, pseudo);
    if (checksum == kBad) udp[6] ^= 0x5a;
    if (checksum == kUnfinished) store_be16(udp.data() + 6, pseudo);
    Buffer ip =
        test::ipv4_packet({.protocol = 17, .source = source, .destination = destination}, udp);
    return test::ethernet_frame(to, kVmMac, kTypeIpv4, ip);
  }
};

// A reply taken apart, every length and checksum of it checked.
struct Reply {
  EthernetHeader ethernet;
  Ipv4Header ip;
  UdpHeader udp;
  Buffer message;
  std::map<int, Buffer> options;
  std::vector<int> order;  // of the network's options

  int type() const { return options.at(53).at(0); }
  Ipv4 yours() const { return {load_be32(message.data() + 16)}; }
  Ipv4 address(int code) const { return {load_be32(options.at(code).data())}; }
};

void parse_reply(Bytes frame, Reply& reply) {
  reply.ethernet = *read_ethernet(frame);
  Bytes packet = frame.subspan(reply.ethernet.size);
  reply.ip = *read_ipv4(packet);
  EXPECT_EQ(reply.ip.total_length, packet.size());
  EXPECT_TRUE(ipv4_checksum_is_valid(packet.first(20)));
  Bytes datagram = packet.subspan(20);
  reply.udp = *read_udp(datagram);
  EXPECT_EQ(reply.udp.length, datagram.size());
  uint16_t pseudo = pseudo_sum(reply.ip.source, reply.ip.destination, 17, reply.udp.length);
  EXPECT_TRUE(sum_is_valid(ones_add(pseudo, ones_sum(datagram))));
  reply.message.assign(datagram.begin() + 8, datagram.end());
  EXPECT_GE(reply.message.size(), 300U);
  size_t at = 240;
  while (reply.message.at(at) != 255) {
    auto begin = reply.message.begin() + static_cast<ptrdiff_t>(at);
    if (std::ranges::count(std::array{1, 3, 6, 26}, begin[0]) > 0) reply.order.push_back(begin[0]);
    reply.options[begin[0]] = Buffer(begin + 2, begin + 2 + begin[1]);
    at += size_t{2} + begin[1];
  }
}

std::optional<Reply> ask(const Buffer& frame, const DhcpConfig& with = config()) {
  Buffer out(DhcpServer::kMaxReply, 0xaa);
  auto size = DhcpServer(with).reply(frame, out);
  if (!size) return std::nullopt;
  Reply reply;
  parse_reply(Bytes(out).first(*size), reply);
  return reply;
}

Buffer type(uint8_t value) { return option(53, {value}); }

Buffer joined(std::initializer_list<Buffer> parts) {
  Buffer all;
  for (const Buffer& part : parts) test::append(all, part);
  return all;
}

TEST(Dhcp, DiscoverIsOfferedTheOneAddress) {
  auto reply = ask(Request{.options = type(1)}.frame());
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->type(), 2);
  EXPECT_EQ(reply->message[0], 2);
  EXPECT_EQ(load_be32(reply->message.data() + 4), 0xdeadbeef);
  EXPECT_EQ(reply->yours(), kAddress);
  EXPECT_EQ(reply->ethernet.destination, kVmMac);
  EXPECT_EQ(reply->ethernet.source, kGatewayMac);
  EXPECT_EQ(reply->ip.destination, kAddress);
  EXPECT_EQ(reply->ip.source, kGateway);
  EXPECT_EQ(reply->udp.source_port, 67);
  EXPECT_EQ(reply->udp.destination_port, 68);
  EXPECT_EQ(reply->address(1), Ipv4{0xffffff00});
  EXPECT_EQ(reply->address(3), kGateway);
  EXPECT_EQ(reply->options.at(6), (Buffer{1, 1, 1, 1, 8, 8, 8, 8}));
  EXPECT_EQ(reply->options.at(26), (Buffer{5, 0xdc}));
  EXPECT_EQ(reply->address(51).value, 86400U);
  EXPECT_EQ(reply->address(58).value, 43200U);
  EXPECT_EQ(reply->address(59).value, 75600U);
  EXPECT_EQ(reply->address(54), kGateway);
  EXPECT_TRUE(std::ranges::equal(kVmMac.bytes, Bytes(reply->message).subspan(28, 6)));
}

TEST(Dhcp, OptionsComeInTheOrderAskedFor) {
  auto order = [](std::initializer_list<uint8_t> wanted) {
    return ask(Request{.options = joined({type(1), option(55, wanted)})}.frame())->order;
  };
  EXPECT_EQ(order({26, 6, 1, 3}), (std::vector{26, 6, 1, 3}));
  EXPECT_EQ(order({6, 1}), (std::vector{6, 1, 3, 26}));
  EXPECT_EQ(order({42, 6}), (std::vector{6, 1, 3, 26}));
  // The mask stays before the router.
  EXPECT_EQ(order({3, 6, 1}), (std::vector{1, 3, 6, 26}));
  EXPECT_EQ(ask(Request{.options = type(1)}.frame())->order, (std::vector{1, 3, 6, 26}));
}

TEST(Dhcp, OptionsWithoutValueAreLeftOut) {
  DhcpConfig host_mode = config();
  host_mode.router.reset();
  host_mode.dns_servers.clear();
  auto reply = ask(Request{.options = type(1)}.frame(), host_mode);
  ASSERT_TRUE(reply);
  EXPECT_FALSE(reply->options.contains(3));
  EXPECT_FALSE(reply->options.contains(6));
}

TEST(Dhcp, BroadcastFlagIsRespected) {
  auto reply = ask(Request{.options = type(1), .flags = 0x8000}.frame());
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->ethernet.destination, kBroadcastMac);
  EXPECT_EQ(reply->ip.destination, kEveryone);
  EXPECT_EQ(load_be16(reply->message.data() + 10), 0x8000);
}

// Selecting: server id and requested address.
TEST(Dhcp, SelectingUsIsAcknowledged) {
  auto reply = ask(
      Request{.options = joined({type(3), option(54, kGateway), option(50, kAddress)})}.frame());
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->type(), 5);
  EXPECT_EQ(reply->yours(), kAddress);
}

TEST(Dhcp, SelectingUsWithAWrongAddressIsRefused) {
  auto reply =
      ask(Request{.options = joined({type(3), option(54, kGateway), option(50, kOther)})}.frame());
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->type(), 6);
  EXPECT_EQ(reply->yours(), Ipv4{});
  EXPECT_EQ(reply->ip.destination, kEveryone);
  EXPECT_FALSE(reply->options.contains(51));
  EXPECT_FALSE(reply->options.contains(1));
}

TEST(Dhcp, SelectingAnotherServerIsLeftToIt) {
  EXPECT_FALSE(
      ask(Request{.options = joined({type(3), option(54, kOther), option(50, kAddress)})}.frame()));
}

TEST(Dhcp, InitReboot) {
  EXPECT_EQ(ask(Request{.options = joined({type(3), option(50, kAddress)})}.frame())->type(), 5);
  EXPECT_EQ(ask(Request{.options = joined({type(3), option(50, kOther)})}.frame())->type(), 6);
  Buffer elsewhere = joined({type(3), option(50, Ipv4{0x0a000005})});
  EXPECT_EQ(ask(Request{.options = elsewhere}.frame())->type(), 6);
}

TEST(Dhcp, RenewingAndRebinding) {
  Request renew{.options = type(3),
                .client = kAddress,
                .source = kAddress,
                .destination = kGateway,
                .to = kGatewayMac};
  auto reply = ask(renew.frame());
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->type(), 5);
  EXPECT_EQ(reply->ip.destination, kAddress);
  EXPECT_EQ(load_be32(reply->message.data() + 12), kAddress.value);
  EXPECT_EQ(ask(Request{.options = type(3), .client = kAddress}.frame())->type(), 5);
  reply = ask(Request{.options = type(3), .client = kOther}.frame());
  EXPECT_EQ(reply->type(), 6);
  EXPECT_EQ(reply->ip.destination, kEveryone);
}

TEST(Dhcp, InformGetsOptionsButNoLease) {
  Request inform{.options = type(8), .client = kOther, .source = kOther};
  auto reply = ask(inform.frame());
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->type(), 5);
  EXPECT_EQ(reply->yours(), Ipv4{});
  EXPECT_EQ(reply->ip.destination, kOther);
  EXPECT_TRUE(reply->options.contains(1));
  EXPECT_FALSE(reply->options.contains(51));
  EXPECT_FALSE(reply->options.contains(58));
}

TEST(Dhcp, SilenceWhereTheRfcWantsIt) {
  EXPECT_FALSE(ask(Request{.options = joined({type(4), option(54, kGateway)})}.frame()));
  EXPECT_FALSE(ask(Request{.options = joined({type(7), option(54, kGateway)})}.frame()));
  EXPECT_FALSE(ask(Request{.options = type(3)}.frame()));            // asks for nothing
  EXPECT_FALSE(ask(Request{.options = option(12, {'a'})}.frame()));  // BOOTP
  EXPECT_FALSE(ask(Request{.options = type(2)}.frame()));            // a server's message
  EXPECT_FALSE(ask(Request{.options = type(1), .destination = Ipv4{0x08080808}}.frame()));
}

// Requests of several MACs to one server.
class DhcpClients : public testing::Test {
 protected:
  bool is_answered(uint8_t kind, uint8_t mac, Ipv4 client = {}) {
    Buffer options = type(kind);
    if (kind == 3) test::append(options, option(50, kAddress));
    Buffer message = Request{.options = options, .client = client}.message();
    message[33] = mac;
    Buffer out(DhcpServer::kMaxReply);
    return server_.reply(Request{}.frame_of(message), out, now_).has_value();
  }
  static Buffer frame_from(uint8_t mac) {
    Mac source = kVmMac;
    source.bytes[5] = mac;
    return test::ethernet_frame(kGatewayMac, source, kTypeArp, Buffer(28));
  }

  DhcpServer server_{config()};
  DhcpServer::TimePoint now_{std::chrono::hours(1)};
};

TEST_F(DhcpClients, WhileOneHasTheAddressAnotherIsNotAnswered) {
  EXPECT_TRUE(is_answered(1, 1));
  EXPECT_TRUE(is_answered(1, 2));  // an offer is no promise
  EXPECT_TRUE(is_answered(3, 1));
  EXPECT_FALSE(is_answered(1, 2));
  EXPECT_FALSE(is_answered(3, 2));
  EXPECT_TRUE(is_answered(8, 2, kOther));  // it has an address and asks for the rest
  EXPECT_TRUE(is_answered(1, 1));
  now_ += DhcpServer::kSilence - std::chrono::seconds(1);
  EXPECT_FALSE(is_answered(1, 2));
  ASSERT_TRUE(server_.is_from_client(frame_from(1)));
  EXPECT_FALSE(server_.is_from_client(frame_from(2)));
  EXPECT_FALSE(server_.is_from_client(Bytes(frame_from(1)).first(13)));
  server_.heard_client(now_);
  now_ += DhcpServer::kSilence - std::chrono::seconds(1);
  EXPECT_FALSE(is_answered(3, 2));
  now_ += std::chrono::seconds(1);
  EXPECT_TRUE(is_answered(3, 2));
  EXPECT_FALSE(is_answered(3, 1));
}

TEST_F(DhcpClients, WhoGivesTheAddressBackLeavesItToAnother) {
  EXPECT_TRUE(is_answered(3, 1));
  EXPECT_FALSE(is_answered(7, 2, kAddress));  // not its to give
  EXPECT_FALSE(is_answered(3, 2));
  EXPECT_FALSE(is_answered(7, 1, kAddress));
  EXPECT_TRUE(is_answered(3, 2));
}

TEST(Dhcp, RelayGetsTheReply) {
  Request relayed{.options = joined({type(1), option(82, {1, 2, 'x', 'y'})}),
                  .relay = kOther,
                  .source = kOther,
                  .destination = kGateway,
                  .source_port = 67};
  auto reply = ask(relayed.frame());
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->ip.destination, kOther);
  EXPECT_EQ(reply->udp.destination_port, 67);
  EXPECT_EQ(load_be32(reply->message.data() + 24), kOther.value);
  EXPECT_EQ(reply->options.at(82), (Buffer{1, 2, 'x', 'y'}));
  relayed.options = joined({type(3), option(50, Ipv4{0x0a000001})});
  reply = ask(relayed.frame());
  EXPECT_EQ(reply->type(), 6);
  EXPECT_EQ(load_be16(reply->message.data() + 10) & 0x8000, 0x8000);
  relayed.relay = Ipv4{0x0a000001};  // of a subnet we have no addresses for
  EXPECT_FALSE(ask(relayed.frame()));
}

TEST(Dhcp, ClientIdIsEchoed) {
  auto reply = ask(Request{.options = joined({type(1), option(61, {255, 1, 2, 3})})}.frame());
  EXPECT_EQ(reply->options.at(61), (Buffer{255, 1, 2, 3}));
}

TEST(Dhcp, OversizedEchoesNeverOverflow) {
  Buffer id{61, 255};
  id.resize(257, 7);
  Buffer relay{82, 255};
  relay.resize(257, 9);
  DhcpConfig many = config();
  many.dns_servers.assign(100, Ipv4{0x01020304});
  auto reply = ask(Request{.options = joined({type(1), id, relay})}.frame(), many);
  ASSERT_TRUE(reply);
  EXPECT_LE(reply->message.size() + 28, 576U);
  EXPECT_EQ(reply->options.at(6).size(), 24U);
}

TEST(Dhcp, OptionsAreReadFromOverloadedFields) {
  Request request{.options = option(52, {3})};
  Buffer message = request.message();
  Buffer in_file = joined({type(3), {255}});
  Buffer in_name = joined({option(50, kAddress), {255}});
  std::ranges::copy(in_file, message.begin() + 108);
  std::ranges::copy(in_name, message.begin() + 44);
  auto reply = ask(request.frame_of(message));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->type(), 5);
}

TEST(Dhcp, Checksums) {
  Request request{.options = type(1), .checksum = Request::kUnfinished};
  EXPECT_TRUE(ask(request.frame()));
  request.checksum = Request::kNone;
  EXPECT_TRUE(ask(request.frame()));
  request.checksum = Request::kBad;
  EXPECT_FALSE(ask(request.frame()));
}

TEST(Dhcp, PriorityTagIsKept) {
  Buffer frame = Request{.options = type(1)}.frame();
  const uint8_t tag[] = {0x81, 0, 0xa0, 0};
  frame.insert(frame.begin() + 12, tag, tag + 4);
  auto reply = ask(frame);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->ethernet.priority_tag, 0xa000);
}

TEST(Dhcp, EveryTruncationIsHarmless) {
  Buffer frame = Request{.options = joined({type(1), option(61, {1, 2, 3})})}.frame();
  for (size_t size = 0; size < frame.size(); size++) {
    Buffer cut(frame.begin(), frame.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_FALSE(ask(cut)) << size;
  }
}

TEST(Dhcp, OptionBeyondItsFieldIsRefused) {
  Buffer options = type(1);
  test::append(options, Buffer{61, 200, 1});
  EXPECT_FALSE(ask(Request{.options = options}.frame()));
}

}  // namespace
}  // namespace vmnet
