#include "linux/nft/table_events.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <vector>

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "linux/netlink/packet_filter.h"

namespace vmnet {
namespace {

constexpr size_t kLetters = 8;  // of a name that are compared, in two words
constexpr size_t kWord = sizeof(uint32_t);
constexpr uint16_t kRemoved = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_DELTABLE;

// A transaction's events come several in a datagram (Linux 5.10), so the program goes through
// them; behind the last one a load fails, which drops the datagram. Rather woken for nothing than
// by a program larger than net.core.optmem_max takes: one with more messages passes.
constexpr int kMaxMessages = 32;

constexpr sock_filter bpf(uint32_t code, uint32_t value = 0) {
  return {.code = static_cast<uint16_t>(code), .jt = 0, .jf = 0, .k = value};
}

// The index register has the offset of the message.
void put_check(std::vector<sock_filter>& program, std::string_view name) {
  // The name is the first attribute (nf_tables_fill_table_info).
  constexpr uint32_t kName = sizeof(nlmsghdr) + sizeof(nfgenmsg) + sizeof(nlattr);
  // Of a shorter name the words overlap.
  const auto second = static_cast<uint32_t>(std::min(name.size(), kLetters) - kWord);
  program.insert(program.end(),
                 {bpf_load_indexed(BPF_H, offsetof(nlmsghdr, nlmsg_type)),
                  bpf_skip_unless(htons(kRemoved), 5), bpf_load_indexed(BPF_W, kName),
                  bpf_skip_unless(bpf_text(name), 3), bpf_load_indexed(BPF_W, kName + second),
                  bpf_skip_unless(bpf_text(name.substr(second)), 1), bpf_answer(~0U)});
}

// Loads are big endian, the length is the host's: it is put together of its lower two bytes.
void put_step(std::vector<sock_filter>& program) {
  constexpr uint32_t kOffset = 0;  // words of scratch memory
  constexpr uint32_t kUpper = 1;
  static_assert(std::endian::native == std::endian::little);
  program.insert(program.end(),
                 {bpf_load_indexed(BPF_B, 1), bpf(BPF_ALU | BPF_LSH | BPF_K, 8),
                  bpf(BPF_ST, kUpper), bpf_load_indexed(BPF_B, 0), bpf(BPF_LDX | BPF_MEM, kUpper),
                  bpf(BPF_ALU | BPF_ADD | BPF_X), bpf(BPF_LDX | BPF_MEM, kOffset),
                  bpf(BPF_ALU | BPF_ADD | BPF_X), bpf(BPF_ALU | BPF_ADD | BPF_K, NLMSG_ALIGNTO - 1),
                  bpf(BPF_ALU | BPF_AND | BPF_K, ~(NLMSG_ALIGNTO - 1)), bpf(BPF_ST, kOffset),
                  bpf(BPF_MISC | BPF_TAX)});
}

std::vector<sock_filter> removal_filter(std::string_view name) {
  std::vector<sock_filter> program{bpf(BPF_LD | BPF_IMM, 0), bpf(BPF_ST, 0),
                                   bpf(BPF_MISC | BPF_TAX)};
  for (int i = 0; i < kMaxMessages; i++) {
    put_check(program, name);
    put_step(program);
  }
  program.push_back(bpf_answer(~0U));
  return program;
}

}  // namespace

Result<TableEvents> TableEvents::watch(std::string_view name) {
  if (name.size() < kWord) return fail("a table's name is too short to be watched");
  auto netlink = NetlinkSocket::open(NETLINK_NETFILTER);
  if (!netlink) return pass(netlink);
  if (attach_filter(netlink->fd(), removal_filter(name)) != 0) {
    return fail_errno("cannot filter nftables events", errno);
  }
  if (auto joined = netlink->join_group(NFNLGRP_NFTABLES); !joined) return pass(joined);
  return TableEvents(std::move(*netlink));
}

bool TableEvents::read() {
  bool removed = false;
  const bool complete = netlink_.read_events([&removed](const nlmsghdr* message) {
    removed = removed || message->nlmsg_type == kRemoved;
  });
  return removed || !complete;
}

}  // namespace vmnet
