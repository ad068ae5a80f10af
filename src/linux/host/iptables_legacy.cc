#include "linux/host/iptables_legacy.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <sys/socket.h>

#include "base/unique_fd.h"
#include "linux/host/network_record.h"

namespace vmnet {
namespace {

constexpr const char* kFilterTable = "filter";

// A verdict in a standard target is -NF_x - 1.
constexpr int kDropVerdict = -NF_DROP - 1;

// IPv4's and IPv6's interfaces are the same calls with other structures.
struct Ipv4Tables {
  using Info = ipt_getinfo;
  using Entries = ipt_get_entries;
  using Entry = ipt_entry;
  static constexpr int kFamily = AF_INET;
  static constexpr int kLevel = IPPROTO_IP;
  static constexpr int kGetInfo = IPT_SO_GET_INFO;
  static constexpr int kGetEntries = IPT_SO_GET_ENTRIES;
  static constexpr const char* kNames = "/proc/self/net/ip_tables_names";
  static const char* incoming(const Entry& entry) { return entry.ip.iniface; }
  static const char* outgoing(const Entry& entry) { return entry.ip.outiface; }
};

struct Ipv6Tables {
  using Info = ip6t_getinfo;
  using Entries = ip6t_get_entries;
  using Entry = ip6t_entry;
  static constexpr int kFamily = AF_INET6;
  static constexpr int kLevel = IPPROTO_IPV6;
  static constexpr int kGetInfo = IP6T_SO_GET_INFO;
  static constexpr int kGetEntries = IP6T_SO_GET_ENTRIES;
  static constexpr const char* kNames = "/proc/self/net/ip6_tables_names";
  static const char* incoming(const Entry& entry) { return entry.ipv6.iniface; }
  static const char* outgoing(const Entry& entry) { return entry.ipv6.outiface; }
};

// Asking for a table that is not there would create it, so its name is looked up first.
bool has_filter_table(const char* names_path) {
  std::ifstream names(names_path);
  std::string name;
  while (std::getline(names, name)) {
    if (name == kFilterTable) return true;
  }
  return false;
}

template <typename T>
T copy_at(const std::vector<char>& data, size_t offset) {
  T value{};
  if (offset + sizeof(T) <= data.size()) std::memcpy(&value, data.data() + offset, sizeof(T));
  return value;
}

std::string_view name_of(const char* interface) {
  return {interface, strnlen(interface, IFNAMSIZ)};
}

// `table`: the entries, one behind the other.
template <typename Tables>
LegacyForward read_forward(const std::vector<char>& table, const typename Tables::Info& info,
                           std::string_view ours) {
  using Entry = typename Tables::Entry;
  LegacyForward forward;
  for (size_t offset = 0; offset + sizeof(Entry) <= table.size();) {
    auto entry = copy_at<Entry>(table, offset);
    const auto in = name_of(Tables::incoming(entry));
    const auto out = name_of(Tables::outgoing(entry));
    const int known = (in.starts_with(ours) ? 1 : 0) + (out.starts_with(ours) ? 1 : 0);
    forward.knows_routed = forward.knows_routed || known == 1;
    forward.knows_bridged =
        forward.knows_bridged || known == 2 || (in.starts_with(ours) && out.empty());
    if (entry.next_offset == 0) break;
    offset += entry.next_offset;
  }
  size_t policy = info.underflow[NF_INET_FORWARD];
  auto entry = copy_at<Entry>(table, policy);
  forward.drops =
      copy_at<xt_standard_target>(table, policy + entry.target_offset).verdict == kDropVerdict;
  return forward;
}

template <typename Tables>
LegacyForward read_table(std::string_view ours) {
  if (!has_filter_table(Tables::kNames)) return {};
  // Any socket of the family will do to ask, and a raw one would need CAP_NET_RAW.
  UniqueFd socket(::socket(Tables::kFamily, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return {};
  typename Tables::Info info{};
  std::strncpy(info.name, kFilterTable, sizeof(info.name) - 1);
  socklen_t size = sizeof(info);
  if (getsockopt(socket.get(), Tables::kLevel, Tables::kGetInfo, &info, &size) != 0) return {};

  // The structure ends with the entries.
  using Entries = typename Tables::Entries;
  constexpr size_t kHeaderSize = offsetof(Entries, entrytable);
  std::vector<char> answer(kHeaderSize + info.size);
  std::strncpy(answer.data() + offsetof(Entries, name), kFilterTable, sizeof(Entries::name) - 1);
  std::memcpy(answer.data() + offsetof(Entries, size), &info.size, sizeof(info.size));
  size = static_cast<socklen_t>(answer.size());
  if (getsockopt(socket.get(), Tables::kLevel, Tables::kGetEntries, answer.data(), &size) != 0) {
    return {};
  }
  answer.erase(answer.begin(), answer.begin() + static_cast<ptrdiff_t>(kHeaderSize));
  return read_forward<Tables>(answer, info, ours);
}

}  // namespace

LegacyForward read_legacy_forward(bool ipv6, std::string_view ours) {
  return ipv6 ? read_table<Ipv6Tables>(ours) : read_table<Ipv4Tables>(ours);
}

}  // namespace vmnet
