#include "forward/local_services.h"

#include <algorithm>
#include <array>
#include <random>

#include "wire/bytes.h"

namespace vmnet {
namespace {

using std::chrono::milliseconds;
using TimePoint = std::chrono::steady_clock::time_point;

constexpr uint16_t kDhcpv6ServerPort = 547;

// What a frame of the VM is to these services.
enum class Kind {
  kOther,
  kDhcpRequest,
  kSolicitation,
  kForbidden,  // only a router or server may send it
};

Kind kind_of_udp(Bytes datagram) {
  if (datagram.size() < 4) return Kind::kOther;
  uint16_t source = load_be16(datagram.data());
  uint16_t destination = load_be16(datagram.data() + 2);
  if (destination == kDhcpServerPort) return Kind::kDhcpRequest;
  bool server = source == kDhcpServerPort || source == kDhcpv6ServerPort;
  return server ? Kind::kForbidden : Kind::kOther;
}

// A first fragment counts: it carries the ports.
Kind kind_of_ipv4(Bytes packet) {
  constexpr uint16_t kFragmentOffset = 0x1fff;
  if (packet.size() < Ipv4Header::kMinSize || packet[9] != kProtocolUdp) return Kind::kOther;
  size_t header = size_t{4} * (packet[0] & 0x0f);
  bool later_fragment = (load_be16(packet.data() + Ipv4Header::kFragmentAt) & kFragmentOffset) != 0;
  if (later_fragment || header > packet.size()) return Kind::kOther;
  return kind_of_udp(packet.subspan(header));
}

Kind kind_of_icmpv6(Bytes message) {
  if (message.empty()) return Kind::kOther;
  switch (message[0]) {
    case kRouterSolicitation:
      return Kind::kSolicitation;
    case kRouterAdvertisement:
    case kRedirect:
      return Kind::kForbidden;
    default:
      return Kind::kOther;
  }
}

// Walks the extension headers. A chain whose end is not in this packet could hide an advertisement:
// it is not let through (RFC 7113, section 2).
Kind kind_of_ipv6(Bytes packet) {
  constexpr uint8_t kHopByHop = 0;
  constexpr uint8_t kRouting = 43;
  constexpr uint8_t kFragment = 44;
  constexpr uint8_t kDestinationOptions = 60;
  if (packet.size() < Ipv6Header::kSize) return Kind::kOther;
  uint8_t next = packet[6];
  Bytes rest = packet.subspan(Ipv6Header::kSize);
  while (next == kHopByHop || next == kRouting || next == kFragment ||
         next == kDestinationOptions) {
    if (rest.size() < 8) return Kind::kForbidden;
    bool later_fragment = next == kFragment && (load_be16(rest.data() + 2) & 0xfff8) != 0;
    if (later_fragment) return Kind::kOther;
    size_t size = next == kFragment ? 8 : (size_t{rest[1]} + 1) * 8;
    if (size > rest.size()) return Kind::kForbidden;
    next = rest[0];
    rest = rest.subspan(size);
  }
  if (next == kProtocolIcmpv6) return kind_of_icmpv6(rest);
  return next == kProtocolUdp ? kind_of_udp(rest) : Kind::kOther;
}

Kind kind_of(Bytes frame) {
  if (frame.size() < EthernetHeader::kSize) return Kind::kOther;
  uint16_t type = load_be16(frame.data() + 12);
  size_t size = EthernetHeader::kSize;
  if (type == kTypeVlan) {
    auto ethernet = read_ethernet(frame);
    type = ethernet->type;
    size = ethernet->size;
  }
  if (type == kTypeIpv4) return kind_of_ipv4(frame.subspan(size));
  return type == kTypeIpv6 ? kind_of_ipv6(frame.subspan(size)) : Kind::kOther;
}

// When the next unsolicited advertisement is due (RFC 4861, section 6.2.4).
class AdvertSchedule {
 public:
  AdvertSchedule(TimePoint now, uint32_t seed) : random_(seed), due_(now) {}

  bool is_due(TimePoint now) const { return now >= due_; }

  // Rounded up, so that whoever waits that long finds it due.
  milliseconds until_due(TimePoint now) const {
    return std::max(milliseconds(0), std::chrono::ceil<milliseconds>(due_ - now));
  }

  void sent(TimePoint now) {
    constexpr milliseconds kMin = kMinAdvertInterval;
    constexpr milliseconds kMax = kMaxAdvertInterval;
    std::uniform_int_distribution<milliseconds::rep> interval(kMin.count(), kMax.count());
    milliseconds next(interval(random_));
    if (++count_ < kInitialAdverts) next = std::min<milliseconds>(next, kMaxInitialAdvertInterval);
    due_ = now + next;
  }

 private:
  std::minstd_rand random_;
  TimePoint due_;
  int count_ = 0;
};

class LocalServices final : public FrameResponder {
 public:
  explicit LocalServices(LocalServicesConfig config)
      : now_(std::move(config.now)), schedule_(now_(), config.jitter_seed) {
    if (config.dhcp) dhcp_.emplace(std::move(*config.dhcp));
    if (config.router_advert) router_.emplace(std::move(*config.router_advert));
  }

  bool handle(Bytes frame, FrameSink& vm) override {
    if (dhcp_ && dhcp_->is_from_client(frame)) dhcp_->heard_client(now_());
    switch (kind_of(frame)) {
      case Kind::kOther:
        return false;
      case Kind::kDhcpRequest:
        if (dhcp_) answer_dhcp(frame, vm);
        return true;
      case Kind::kSolicitation:
        if (router_) send(router_->reply(frame, reply_), vm);
        return true;
      case Kind::kForbidden:
        return true;
    }
    return false;
  }

  std::optional<milliseconds> tick(FrameSink& vm) override {
    if (!router_) return std::nullopt;
    TimePoint now = now_();
    if (schedule_.is_due(now)) {
      send(router_->advertise(reply_), vm);
      schedule_.sent(now);
    }
    return schedule_.until_due(now);
  }

 private:
  void answer_dhcp(Bytes frame, FrameSink& vm) {
    if (epoch_ != vm.epoch()) dhcp_->forget_client();
    epoch_ = vm.epoch();
    send(dhcp_->reply(frame, reply_, now_()), vm);
  }

  void send(std::optional<size_t> size, FrameSink& vm) {
    if (size) vm.send(Bytes(reply_).first(*size));
  }

  std::function<TimePoint()> now_;
  AdvertSchedule schedule_;
  std::optional<DhcpServer> dhcp_;
  uint64_t epoch_ = 0;  // of the VM that dhcp_ knows
  std::optional<RouterAdvertiser> router_;
  std::array<uint8_t, std::max(DhcpServer::kMaxReply, RouterAdvertiser::kMaxReply)> reply_{};
};

}  // namespace

std::unique_ptr<FrameResponder> make_local_services(LocalServicesConfig config) {
  return std::make_unique<LocalServices>(std::move(config));
}

}  // namespace vmnet
