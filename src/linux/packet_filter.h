// Classic BPF (Documentation/networking/filter.rst): the small programs that let the kernel sort
// out what a socket of ours is not meant to see. Loads are big endian; a jump's targets count the
// instructions to skip.
#pragma once

#include <cstdint>
#include <span>

#include <linux/filter.h>
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

// How many bytes of the packet the socket gets; 0: none, it is dropped.
constexpr sock_filter bpf_answer(uint32_t bytes) {
  return {.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = bytes};
}

// 0, or -1 with errno.
inline int attach_filter(int socket, std::span<const sock_filter> program) {
  sock_fprog filter{.len = static_cast<uint16_t>(program.size()),
                    .filter = const_cast<sock_filter*>(program.data())};
  return ::setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter));
}

}  // namespace vmnet
