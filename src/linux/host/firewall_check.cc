#include "linux/host/firewall_check.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>

#include "linux/host/iptables_legacy.h"
#include "linux/host/network_record.h"
#include "linux/host/sysctl.h"
#include "linux/netlink/netlink.h"

namespace vmnet {
namespace {

uint32_t nft_u32(const nlattr* attribute) { return ntohl(mnl_attr_get_u32(attribute)); }

// What GETCHAIN tells of a chain. Unspecified family: the caller looks at the message's header.
FirewallChain read_chain(const nlmsghdr* message) {
  FirewallChain chain;
  const auto* header = static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(message));
  chain.family = static_cast<NftFamily>(header->nfgen_family);
  uint32_t hook = NF_INET_NUMHOOKS;
  bool filters = false;
  for_each_attribute(message, sizeof(nfgenmsg), [&](const nlattr* attribute) {
    switch (mnl_attr_get_type(attribute)) {
      case NFTA_CHAIN_TABLE:
        chain.table = attribute_text(attribute);
        break;
      case NFTA_CHAIN_NAME:
        chain.name = attribute_text(attribute);
        break;
      case NFTA_CHAIN_TYPE:
        filters = attribute_text(attribute) == "filter";
        break;
      case NFTA_CHAIN_POLICY:
        chain.drops_the_rest = nft_u32(attribute) == NF_DROP;
        break;
      case NFTA_CHAIN_HOOK:
        for_each_nested(attribute, [&](const nlattr* part) {
          if (mnl_attr_get_type(part) == NFTA_HOOK_HOOKNUM) hook = nft_u32(part);
        });
        break;
      default:
        break;
    }
  });
  bool routed = chain.family == NftFamily::kInet || chain.family == NftFamily::kIpv4 ||
                chain.family == NftFamily::kIpv6;
  chain.forwards = routed && filters && hook == NF_INET_FORWARD;
  return chain;
}

// One expression of a rule: what of it tells whether the rule denies everything, or knows us.
struct RuleFacts {
  std::string chain;
  int matches = 0;  // expressions beside counting and deciding: not for every packet
  bool denies = false;
  int names_us = 0;  // of the two devices of its way
};

bool is_drop(const nlattr* immediate_data) {
  bool drop = false;
  for_each_nested(immediate_data, [&](const nlattr* data) {
    if (mnl_attr_get_type(data) != NFTA_IMMEDIATE_DATA) return;
    for_each_nested(data, [&](const nlattr* verdict) {
      if (mnl_attr_get_type(verdict) != NFTA_DATA_VERDICT) return;
      for_each_nested(verdict, [&](const nlattr* part) {
        if (mnl_attr_get_type(part) == NFTA_VERDICT_CODE) drop = nft_u32(part) == NF_DROP;
      });
    });
  });
  return drop;
}

bool compares_our_name(const nlattr* cmp_data, std::string_view ours_begin) {
  bool ours = false;
  for_each_nested(cmp_data, [&](const nlattr* data) {
    if (mnl_attr_get_type(data) != NFTA_CMP_DATA) return;
    for_each_nested(data, [&](const nlattr* value) {
      ours = ours || attribute_text(value).starts_with(ours_begin);
    });
  });
  return ours;
}

// iptables-nft's targets that have no nftables expression of their own.
bool is_deny_target(const nlattr* target_data) {
  std::string name;
  for_each_nested(target_data, [&](const nlattr* part) {
    if (mnl_attr_get_type(part) == NFTA_TARGET_NAME) name = attribute_text(part);
  });
  return name == "REJECT" || name == "DROP";
}

void read_expression(const nlattr* expression, std::string_view ours, RuleFacts& facts) {
  std::string name;
  const nlattr* data = nullptr;
  for_each_nested(expression, [&](const nlattr* part) {
    if (mnl_attr_get_type(part) == NFTA_EXPR_NAME) name = attribute_text(part);
    if (mnl_attr_get_type(part) == NFTA_EXPR_DATA) data = part;
  });
  if (name == "counter" || name == "log") return;
  if (name == "reject") {
    facts.denies = true;
  } else if (name == "immediate" && data != nullptr) {
    facts.denies = is_drop(data);
  } else if (name == "target" && data != nullptr) {
    facts.denies = is_deny_target(data);
  } else {
    facts.matches++;
    if (name == "cmp" && data != nullptr && compares_our_name(data, ours)) facts.names_us++;
  }
}

RuleFacts read_rule(const nlmsghdr* message, std::string_view ours) {
  RuleFacts facts;
  for_each_attribute(message, sizeof(nfgenmsg), [&](const nlattr* attribute) {
    switch (mnl_attr_get_type(attribute)) {
      case NFTA_RULE_CHAIN:
        facts.chain = attribute_text(attribute);
        break;
      case NFTA_RULE_EXPRESSIONS:
        for_each_nested(attribute, [&](const nlattr* part) { read_expression(part, ours, facts); });
        break;
      default:
        break;
    }
  });
  return facts;
}

Result<std::vector<FirewallChain>> read_chains(NetlinkSocket& socket) {
  std::vector<FirewallChain> chains;
  NetlinkMessage get((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETCHAIN, NLM_F_DUMP);
  get.add_family_header<nfgenmsg>();
  auto read = socket.query(
      get, "cannot list the firewall's chains",
      [&](const nlmsghdr* message) { chains.push_back(read_chain(message)); },
      [&] { chains.clear(); });
  if (!read) return pass(read);
  std::erase_if(chains, [](const auto& chain) { return chain.table.starts_with(kOwnPrefix); });
  return chains;
}

// Reads the rules of one table into what is known of its chains.
Status read_table(NetlinkSocket& socket, NftFamily family, const std::string& table,
                  std::string_view ours, FirewallRules& rules) {
  std::vector<RuleFacts> facts;
  NetlinkMessage get((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETRULE, NLM_F_DUMP);
  get.add_family_header<nfgenmsg>()->nfgen_family = static_cast<uint8_t>(family);
  get.put_string(NFTA_RULE_TABLE, table);
  auto read = socket.query(
      get, "cannot list the firewall's rules",
      [&](const nlmsghdr* message) { facts.push_back(read_rule(message, ours)); },
      [&] { facts.clear(); });
  if (!read) return read;
  AwareTable aware{.family = family, .name = table};
  for (const RuleFacts& rule : facts) {
    const bool says_one_end_alone = rule.names_us == 1 && rule.matches == 2;  // meta and cmp
    aware.routed = aware.routed || rule.names_us == 1;
    aware.bridged = aware.bridged || rule.names_us == 2 || says_one_end_alone;
  }
  rules.aware_tables.push_back(std::move(aware));
  for (FirewallChain& chain : rules.chains) {
    if (chain.family != family || chain.table != table) continue;
    chain.drops_the_rest =
        chain.drops_the_rest || std::ranges::any_of(facts, [&](const RuleFacts& rule) {
          return rule.chain == chain.name && rule.denies && !rule.matches;
        });
  }
  return {};
}

Result<FirewallRules> read_firewall(NetlinkSocket& netfilter, std::string_view ours) {
  auto chains = read_chains(netfilter);
  if (!chains) return pass(chains);
  FirewallRules rules{.chains = std::move(*chains), .aware_tables = {}};
  std::vector<std::pair<NftFamily, std::string>> tables;
  for (const FirewallChain& chain : rules.chains) {
    std::pair table(chain.family, chain.table);
    if (chain.forwards && std::ranges::find(tables, table) == tables.end()) {
      tables.push_back(std::move(table));
    }
  }
  for (const auto& [family, table] : tables) {
    if (auto read = read_table(netfilter, family, table, ours, rules); !read) return pass(read);
  }
  return rules;
}

bool has_chain(const FirewallRules& rules, const FirewallChain& beside, std::string_view name) {
  return std::ranges::any_of(rules.chains, [&](const FirewallChain& chain) {
    return chain.family == beside.family && chain.table == beside.table && chain.name == name;
  });
}

// What of the needs a chain stands in the way of.
struct Blocked {
  bool routed_ipv4 = false;
  bool routed_ipv6 = false;
  bool bridged = false;
  bool routed() const { return routed_ipv4 || routed_ipv6; }
};

Blocked blocked_by(bool ipv4, bool ipv6, const ForwardingNeeds& needs) {
  return {.routed_ipv4 = ipv4 && needs.routed,
          .routed_ipv6 = ipv6 && needs.routed && needs.ipv6,
          .bridged = (ipv4 && needs.bridged_ipv4) || (ipv6 && needs.bridged_ipv6)};
}

std::vector<std::string> uplinks_of(const Blocked& blocked, const ForwardingNeeds& needs) {
  std::vector<std::string> uplinks;
  if (blocked.routed_ipv4) uplinks = needs.uplinks_ipv4;
  if (blocked.routed_ipv6)
    uplinks.insert(uplinks.end(), needs.uplinks_ipv6.begin(), needs.uplinks_ipv6.end());
  std::ranges::sort(uplinks);
  uplinks.erase(std::ranges::unique(uplinks).begin(), uplinks.end());
  if (uplinks.empty()) uplinks.emplace_back("UPLINK");  // there is none yet: the user's word for it
  return uplinks;
}

std::string remedy_of_nft(const std::string& insert, const Blocked& blocked,
                          const ForwardingNeeds& needs) {
  std::vector<std::string> commands;
  const auto& devices = needs.devices;
  if (blocked.routed()) {
    commands.push_back(fmt::format("{} iifname \"{}\" oifname {{ \"{}\" }} accept", insert, devices,
                                   fmt::join(uplinks_of(blocked, needs), "\", \"")));
    commands.push_back(
        fmt::format("{} oifname \"{}\" ct state established,related accept", insert, devices));
    commands.push_back(fmt::format("{} oifname \"{}\" ct status dnat accept", insert, devices));
  }
  if (blocked.bridged) {
    commands.push_back(fmt::format("{0} iifname \"{1}\" oifname \"{1}\" accept", insert, devices));
  }
  // Quoted, for a shell to leave to nft what is nft's.
  for (auto& command : commands) command = fmt::format("nft '{}'", command);
  return fmt::format("{}", fmt::join(commands, " && "));
}

std::string remedy_of_iptables(std::string_view program, std::string_view chain,
                               const Blocked& blocked, const ForwardingNeeds& needs) {
  std::vector<std::string> commands;
  std::string devices = needs.devices;
  std::ranges::replace(devices, '*', '+');
  const auto insert = fmt::format("{} -I {}", program, chain);
  if (blocked.routed()) {
    for (const auto& uplink : uplinks_of(blocked, needs)) {
      commands.push_back(fmt::format("{} -i {} -o {} -j ACCEPT", insert, devices, uplink));
    }
    commands.push_back(fmt::format(
        "{} -o {} -m conntrack --ctstate ESTABLISHED,RELATED,DNAT -j ACCEPT", insert, devices));
  }
  if (blocked.bridged) {
    commands.push_back(fmt::format("{0} -i {1} -o {1} -j ACCEPT", insert, devices));
  }
  return fmt::format("{}", fmt::join(commands, " && "));
}

std::string remedy_of_ufw(const Blocked& blocked, const ForwardingNeeds& needs) {
  std::vector<std::string> commands;
  if (blocked.routed()) {
    for (const auto& uplink : uplinks_of(blocked, needs)) {
      commands.push_back(fmt::format("ufw route allow in on {} out on {}", needs.device, uplink));
    }
  }
  if (blocked.bridged) {
    commands.push_back(fmt::format("ufw route allow in on {0} out on {0}", needs.device));
  }
  return fmt::format("{}", fmt::join(commands, " && "));
}

std::string remedy(const FirewallRules& rules, const FirewallChain& chain, const Blocked& blocked,
                   const ForwardingNeeds& needs) {
  const char* program = chain.family == NftFamily::kIpv6 ? "ip6tables" : "iptables";
  if (has_chain(rules, chain, "DOCKER-USER")) {
    return remedy_of_iptables(program, "DOCKER-USER", blocked, needs);
  }
  if (has_chain(rules, chain, "ufw-user-forward") || has_chain(rules, chain, "ufw6-user-forward")) {
    return remedy_of_ufw(blocked, needs);
  }
  if (chain.table == "firewalld") {
    return fmt::format(
        "firewall-cmd --permanent --zone=trusted --add-interface={} && "
        "firewall-cmd --reload",
        needs.device);
  }
  auto insert =
      fmt::format("insert rule {} {} {}", to_string(chain.family), chain.table, chain.name);
  return remedy_of_nft(insert, blocked, needs);
}

std::string line_of(const std::string& where, const Blocked& blocked, const std::string& remedy) {
  const char* reached = !blocked.bridged   ? "the uplink"
                        : blocked.routed() ? "the uplink and each other"
                                           : "each other (br_netfilter shows it what is bridged)";
  return fmt::format(
      "the host's firewall drops forwarded packets ({}), so VMs may not reach {}; to let them: {}",
      where, reached, remedy);
}

void leave_out(Blocked& blocked, bool routed, bool bridged) {
  if (routed) blocked.routed_ipv4 = blocked.routed_ipv6 = false;
  blocked.bridged = blocked.bridged && !bridged;
}

}  // namespace

void look_for_bridge_netfilter(ForwardingNeeds& needs) {
  auto is_on = [](const char* name) {
    auto value = read_sysctl(std::string("bridge/bridge-nf-call-") + name);
    return value && *value != 0;
  };
  needs.bridged_ipv4 = is_on("iptables");
  needs.bridged_ipv6 = is_on("ip6tables");
}

std::vector<std::string> explain_firewall(const FirewallRules& rules,
                                          const ForwardingNeeds& needs) {
  std::vector<std::string> lines;
  for (const FirewallChain& chain : rules.chains) {
    if (!chain.forwards || !chain.drops_the_rest) continue;
    Blocked blocked =
        blocked_by(chain.family != NftFamily::kIpv6, chain.family != NftFamily::kIpv4, needs);
    for (const AwareTable& table : rules.aware_tables) {
      if (table.family != chain.family || table.name != chain.table) continue;
      leave_out(blocked, table.routed, table.bridged);
    }
    if (!blocked.routed() && !blocked.bridged) continue;
    lines.push_back(line_of(fmt::format("nftables table {} {}, chain {}", to_string(chain.family),
                                        chain.table, chain.name),
                            blocked, remedy(rules, chain, blocked, needs)));
  }
  return lines;
}

std::vector<std::string> check_firewall(NetlinkSocket& netfilter, const ForwardingNeeds& needs) {
  const std::string_view ours = std::string_view(needs.devices).substr(0, needs.devices.find('*'));
  auto rules = read_firewall(netfilter, ours);
  if (!rules) return {rules.error().message};
  auto lines = explain_firewall(*rules, needs);
  for (bool six : {false, true}) {
    Blocked blocked = blocked_by(!six, six, needs);
    if (!blocked.routed() && !blocked.bridged) continue;
    const LegacyForward legacy = read_legacy_forward(six, ours);
    if (!legacy.drops) continue;
    leave_out(blocked, legacy.knows_routed, legacy.knows_bridged);
    if (!blocked.routed() && !blocked.bridged) continue;
    const char* program = six ? "ip6tables-legacy" : "iptables-legacy";
    lines.push_back(line_of(fmt::format("{}, chain FORWARD", program), blocked,
                            remedy_of_iptables(program, "FORWARD", blocked, needs)));
  }
  return lines;
}

}  // namespace vmnet
