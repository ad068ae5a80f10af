// Generators and sinks of frames of 64 bytes (60 and the FCS that a cable would add), at either
// end.
//
//   small-frames flood-socket FD SECONDS TO-MAC FROM-MAC TO-IP FROM-IP
//       as a VM, into its socket
//   small-frames flood-flows FD SECONDS TO-MAC FROM-MAC TO-IP FROM-IP
//       the same, each frame of a batch from a port of its own, so that none can be joined
//   small-frames flood-device NAME SECONDS TO-MAC FROM-MAC TO-IP FROM-IP
//       as a network card, straight into the device's queue: what pktgen would do
//   small-frames flood IP SECONDS, flood-segments IP SECONDS
//       as a host's program: UDP, a send a frame, or 64 frames a send (UDP_SEGMENT)
//   small-frames sink-socket FD SECONDS, sink SECONDS
//       what arrives at the VM's socket, or at a UDP port
//
// Prints the frames moved a second, from the first to the last. A flood waits where a queue is
// full; what is lost on the way shows in the difference of both ends.

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tool.h"
#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/headers.h"

namespace vmnet::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint16_t kPort = 9;  // discard
constexpr size_t kFrame = 60;
constexpr size_t kPayload =
    kFrame - EthernetHeader::kSize - Ipv4Header::kMinSize - UdpHeader::kSize;
constexpr size_t kBatch = 64;

struct Batch {
  explicit Batch(size_t slot) : memory(kBatch * slot) {
    for (size_t i = 0; i < kBatch; i++) {
      parts[i] = {.iov_base = memory.data() + (i * slot), .iov_len = slot};
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
  }
  std::vector<uint8_t> memory;
  std::array<iovec, kBatch> parts{};
  std::array<mmsghdr, kBatch> messages{};
};

void print_rate(uint64_t frames, Clock::duration time) {
  double seconds = std::chrono::duration<double>(time).count();
  say(fmt::format(R"({{"frames":{},"seconds":{:.3f},"rate":{:.0f}}})", frames, seconds,
                  seconds > 0 ? static_cast<double>(frames) / seconds : 0));
}

// `frames` are in each message.
int flood(int fd, Batch& batch, double seconds, uint64_t frames_each = 1) {
  constexpr useconds_t kWhenFull = 20;  // microseconds
  const auto begin = Clock::now();
  const auto end = begin + std::chrono::duration<double>(seconds);
  uint64_t frames = 0;
  while (Clock::now() < end) {
    int sent = ::sendmmsg(fd, batch.messages.data(), kBatch, MSG_NOSIGNAL);
    if (sent < 0 && errno == ENOBUFS) {
      ::usleep(kWhenFull);
    } else if (sent < 0 && errno != EINTR && errno != ECONNREFUSED) {
      return 1;
    }
    frames += frames_each * static_cast<uint64_t>(sent > 0 ? sent : 0);
  }
  print_rate(frames, Clock::now() - begin);
  return 0;
}

// Counts from the first frame on, for `seconds`; frames of other sizes are not the flood's.
int sink(int fd, size_t wanted, double seconds) {
  Batch batch(2048);
  uint64_t frames = 0;
  Clock::time_point first;
  Clock::time_point last;
  pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
  const int patience = 3000 + static_cast<int>(seconds * 1000);
  while (::poll(&entry, 1, frames == 0 ? patience : 300) == 1) {
    int received = ::recvmmsg(fd, batch.messages.data(), kBatch, MSG_DONTWAIT, nullptr);
    last = Clock::now();
    for (int i = 0; i < received; i++) {
      if (batch.messages[static_cast<size_t>(i)].msg_len != wanted) continue;
      if (frames++ == 0) first = last;
    }
    if (frames > 0 && last - first > std::chrono::duration<double>(seconds)) break;
  }
  print_rate(frames, last - first);
  return 0;
}

Mac parse_mac_or_exit(std::string_view text) {
  auto mac = parse_mac(text);
  if (!mac) std::exit(1);
  return *mac;
}

Ipv4 ipv4_of(const char* text) {
  in_addr address{};
  if (::inet_pton(AF_INET, text, &address) != 1) std::exit(1);
  return {ntohl(address.s_addr)};
}

// A VM's UDP frame: `words` are its MAC and IP addresses.
std::vector<uint8_t> udp_frame(char** words, uint16_t source_port) {
  std::vector<uint8_t> frame(kFrame);
  const Ipv4 to = ipv4_of(words[2]);
  const Ipv4 from = ipv4_of(words[3]);
  write_ethernet({.destination = parse_mac_or_exit(words[0]),
                  .source = parse_mac_or_exit(words[1]),
                  .type = kTypeIpv4,
                  .priority_tag = {}},
                 frame);
  MutableBytes packet = MutableBytes(frame).subspan(EthernetHeader::kSize);
  write_ipv4({.total_length = static_cast<uint16_t>(packet.size()),
              .fragment = Ipv4Header::kDontFragment,  // as Linux sends UDP
              .ttl = 64,
              .protocol = kProtocolUdp,
              .source = from,
              .destination = to},
             packet);
  MutableBytes udp = packet.subspan(Ipv4Header::kMinSize);
  write_udp({.source_port = source_port,
             .destination_port = kPort,
             .length = static_cast<uint16_t>(udp.size())},
            udp);
  uint16_t sum = pseudo_sum(from, to, kProtocolUdp, static_cast<uint32_t>(udp.size()));
  store_be16(udp.data() + UdpHeader::kChecksumAt, checksum_of(ones_add(sum, ones_sum(udp))));
  return frame;
}

int flood_frames(int fd, const char* seconds, char** addresses, uint16_t flows = 1) {
  Batch batch(kFrame);
  for (uint16_t i = 0; i < kBatch; i++) {
    const std::vector<uint8_t> frame =
        udp_frame(addresses, static_cast<uint16_t>(kPort + i % flows));
    std::memcpy(batch.parts[i].iov_base, frame.data(), kFrame);
  }
  return flood(fd, batch, seconds_of(seconds));
}

// A socket that sends past the queueing discipline.
int device_socket(const char* device) {
  int fd = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  sockaddr_ll target{};
  target.sll_family = AF_PACKET;
  target.sll_ifindex = static_cast<int>(::if_nametoindex(device));
  int on = 1;
  if (::setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) != 0 ||
      ::bind(fd, reinterpret_cast<sockaddr*>(&target), sizeof(target)) != 0) {
    std::exit(1);
  }
  return fd;
}

int udp_socket(const char* address) {
  int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  int size = 4 << 20;
  ::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
  sockaddr_in target{
      .sin_family = AF_INET, .sin_port = htons(kPort), .sin_addr = {}, .sin_zero = {}};
  if (address != nullptr) target.sin_addr.s_addr = htonl(ipv4_of(address).value);
  const auto* raw = reinterpret_cast<const sockaddr*>(&target);
  int result =
      address != nullptr ? ::connect(fd, raw, sizeof(target)) : ::bind(fd, raw, sizeof(target));
  if (result != 0) std::exit(1);
  return fd;
}

int flood_segments(const char* address, const char* seconds) {
  constexpr int kFrames = 64;
  int fd = udp_socket(address);
  int size = kPayload;
  if (::setsockopt(fd, SOL_UDP, UDP_SEGMENT, &size, sizeof(size)) != 0) return 1;
  Batch batch(kFrames * kPayload);
  return flood(fd, batch, seconds_of(seconds), kFrames);
}

int run(std::string_view mode, int count, char** words) {
  if (mode == "flood-socket" && count == 6) {
    return flood_frames(descriptor_of(words[0]), words[1], words + 2);
  }
  if (mode == "flood-flows" && count == 6) {
    return flood_frames(descriptor_of(words[0]), words[1], words + 2, kBatch);
  }
  if (mode == "flood-device" && count == 6) {
    return flood_frames(device_socket(words[0]), words[1], words + 2);
  }
  if (mode == "sink-socket" && count == 2) {
    return sink(descriptor_of(words[0]), kFrame, seconds_of(words[1]));
  }
  if (mode == "flood" && count == 2) {
    Batch batch(kPayload);
    return flood(udp_socket(words[0]), batch, seconds_of(words[1]));
  }
  if (mode == "flood-segments" && count == 2) return flood_segments(words[0], words[1]);
  if (mode == "sink" && count == 1)
    return sink(udp_socket(nullptr), kPayload, seconds_of(words[0]));
  return 1;
}

}  // namespace
}  // namespace vmnet::bench

int main(int argc, char** argv) {
  if (argc < 2) return 1;
  return vmnet::bench::run(argv[1], argc - 2, argv + 2);
}
