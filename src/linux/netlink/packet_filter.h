// Classic BPF (Documentation/networking/filter.rst): the small programs that let the kernel sort
// out what a socket of ours is not meant to see. Loads are big endian; a jump's targets count the
// instructions to skip.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

namespace vmnet {

// `width` BPF_B, BPF_H or BPF_W.
constexpr sock_filter bpf_load(uint16_t width, uint32_t offset) {
  return {.code = static_cast<uint16_t>(BPF_LD | width | BPF_ABS), .jt = 0, .jf = 0, .k = offset};
}

// From the index register.
constexpr sock_filter bpf_load_indexed(uint16_t width, uint32_t offset) {
  return {.code = static_cast<uint16_t>(BPF_LD | width | BPF_IND), .jt = 0, .jf = 0, .k = offset};
}

constexpr sock_filter bpf_if_equal(uint32_t value, uint8_t then, uint8_t otherwise) {
  return {.code = BPF_JMP | BPF_JEQ | BPF_K, .jt = then, .jf = otherwise, .k = value};
}

constexpr sock_filter bpf_skip_unless(uint32_t value, uint8_t otherwise) {
  return bpf_if_equal(value, 0, otherwise);
}

constexpr sock_filter bpf_if_any_bit(uint32_t bits, uint8_t then, uint8_t otherwise) {
  return {.code = BPF_JMP | BPF_JSET | BPF_K, .jt = then, .jf = otherwise, .k = bits};
}

constexpr sock_filter bpf_and(uint32_t mask) {
  return {.code = BPF_ALU | BPF_AND | BPF_K, .jt = 0, .jf = 0, .k = mask};
}

// How many bytes of the packet the socket gets; 0: none, it is dropped.
constexpr sock_filter bpf_answer(uint32_t bytes) {
  return {.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = bytes};
}

// Four letters as a load of BPF_W finds them.
constexpr uint32_t bpf_text(std::string_view text) {
  uint32_t word = 0;
  for (size_t i = 0; i < sizeof(word); i++) word = word << 8 | static_cast<uint8_t>(text[i]);
  return word;
}

// For an rtnetlink socket: messages of one type (RTM_NEWNEIGH, ...) and family about one interface,
// so that what happens to others wakes nobody. The message's fields are in the host's byte order.
inline std::array<sock_filter, 8> event_filter(uint16_t type, uint8_t family, int index) {
  static_assert(offsetof(ifinfomsg, ifi_family) == offsetof(ndmsg, ndm_family) &&
                offsetof(ifinfomsg, ifi_index) == offsetof(ndmsg, ndm_ifindex));
  return {bpf_load(BPF_H, offsetof(nlmsghdr, nlmsg_type)),
          bpf_skip_unless(htons(type), 5),
          bpf_load(BPF_B, sizeof(nlmsghdr) + offsetof(ndmsg, ndm_family)),
          bpf_skip_unless(family, 3),
          bpf_load(BPF_W, sizeof(nlmsghdr) + offsetof(ndmsg, ndm_ifindex)),
          bpf_skip_unless(htonl(static_cast<uint32_t>(index)), 1),
          bpf_answer(~0U),
          bpf_answer(0)};
}

// 0, or -1 with errno.
inline int attach_filter(int socket, std::span<const sock_filter> program) {
  sock_fprog filter{.len = static_cast<uint16_t>(program.size()),
                    .filter = const_cast<sock_filter*>(program.data())};
  return ::setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter));
}

}  // namespace vmnet
