#include "linux/device/native_tap.h"

#include <cerrno>
#include <memory>

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/ipv6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <sys/socket.h>

#include "linux/netlink/packet_filter.h"
#include "wire/dhcp.h"
#include "wire/router_advert.h"

namespace vmnet {
namespace {

constexpr uint32_t kVlanId = 0x0fff;
constexpr uint32_t kWholeFrame = 2048;
constexpr uint32_t kIp = ETH_HLEN;
constexpr uint32_t kProtocolAt = kIp + 9;
constexpr uint32_t kFragmentAt = kIp + 6;
constexpr uint32_t kFragmentOffset = 0x1fff;
constexpr uint32_t kNextHeaderAt = kIp + 6;
constexpr uint32_t kIcmpv6TypeAt = kIp + sizeof(ipv6hdr);
constexpr uint32_t kUdpTargetPortAt = kIp + 2;  // from the header's length on

// The size of the IPv4 header behind `offset`, to the index register.
constexpr sock_filter load_header_size(uint32_t offset) {
  return {.code = BPF_LDX | BPF_B | BPF_MSH, .jt = 0, .jf = 0, .k = offset};
}

constexpr sock_filter load_auxiliary(int32_t which) {
  return bpf_load(BPF_W, static_cast<uint32_t>(SKF_AD_OFF + which));
}

// Frames of VLANs are not this network's; the kernel keeps the tag beside the frame. A load beyond
// the frame's end drops it.
constexpr std::array kRequests = {
    load_auxiliary(SKF_AD_VLAN_TAG),
    bpf_if_any_bit(kVlanId, 16, 0),
    bpf_load(BPF_H, offsetof(ethhdr, h_proto)),
    bpf_if_equal(ETH_P_ARP, 13, 0),
    bpf_skip_unless(ETH_P_IP, 7),
    bpf_load(BPF_B, kProtocolAt),
    bpf_skip_unless(IPPROTO_UDP, 11),
    bpf_load(BPF_H, kFragmentAt),
    bpf_if_any_bit(kFragmentOffset, 9, 0),
    load_header_size(kIp),
    bpf_load_indexed(BPF_H, kUdpTargetPortAt),
    bpf_if_equal(kDhcpServerPort, 5, 6),
    bpf_skip_unless(ETH_P_IPV6, 5),
    bpf_load(BPF_B, kNextHeaderAt),
    bpf_skip_unless(IPPROTO_ICMPV6, 3),
    bpf_load(BPF_B, kIcmpv6TypeAt),
    bpf_skip_unless(kRouterSolicitation, 1),
    bpf_answer(kWholeFrame),
    bpf_answer(0),
};

Status prepare(int socket) {
  if (attach_filter(socket, kRequests) != 0) {
    return fail_errno("cannot filter the VM's requests", errno);
  }
  int on = 1;
  // From here on not even we can take the filter off.
  if (::setsockopt(socket, SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof(on)) != 0) {
    return fail_errno("cannot lock the filter of the VM's requests", errno);
  }
  if (::setsockopt(socket, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) != 0) {
    return fail_errno("cannot leave out what goes to the VM (PACKET_IGNORE_OUTGOING)", errno);
  }
  return {};
}

}  // namespace

std::span<const sock_filter> request_filter() { return kRequests; }

Result<UniqueFd> open_request_socket(int index) {
  // Protocol 0: nothing comes until the filter is there and the socket bound.
  UniqueFd socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.valid()) {
    return fail_errno("cannot open a packet socket for the VM's DHCP requests", errno,
                      errno == EPERM ? "--tap needs the CAP_NET_RAW capability" : "");
  }
  if (auto prepared = prepare(socket.get()); !prepared) return pass(prepared);
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = index;
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return fail_errno("cannot bind the packet socket to the VM's device", errno);
  }
  return socket;
}

Result<std::unique_ptr<NativeTap>> NativeTap::create(UniqueFd device, int index, bool answers) {
  UniqueFd requests;
  if (answers) {
    auto socket = open_request_socket(index);
    if (!socket) return pass(socket);
    requests = std::move(*socket);
  }
  auto deletion = DeviceEvents::watch(index, DeviceEvent::kDeleted);
  if (!deletion) return pass(deletion);
  return std::unique_ptr<NativeTap>(
      new NativeTap(std::move(device), std::move(requests), std::move(*deletion)));
}

std::span<const uint8_t> NativeTap::next_request() {
  ssize_t size = 0;
  do {
    size = ::recv(requests_.get(), frame_.data(), frame_.size(), MSG_DONTWAIT);
  } while (size < 0 && errno == EINTR);
  // Others pass: the device is down.
  return {frame_.data(), static_cast<size_t>(size < 0 ? 0 : size)};
}

// To the device that the socket is bound to; the bridge and its rules never see it. A frame that
// the device cannot take is lost, as any may be.
void NativeTap::send(std::span<const uint8_t> frame) {
  [[maybe_unused]] ssize_t sent = ::send(requests_.get(), frame.data(), frame.size(), MSG_DONTWAIT);
}

}  // namespace vmnet
