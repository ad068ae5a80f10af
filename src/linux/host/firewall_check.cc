#include "linux/host/firewall_check.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>

#include "linux/host/iptables_legacy.h"
#include "linux/host/network_record.h"
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
  bool matches = false;  // something beside counting and deciding: not for every packet
  bool denies = false;
  bool names_us = false;
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

bool compares_our_name(const nlattr* cmp_data) {
  bool ours = false;
  for_each_nested(cmp_data, [&](const nlattr* data) {
    if (mnl_attr_get_type(data) != NFTA_CMP_DATA) return;
    for_each_nested(data, [&](const nlattr* value) {
      ours = ours || attribute_text(value).starts_with(kOwnPrefix);
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

void read_expression(const nlattr* expression, RuleFacts& facts) {
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
    facts.matches = true;
    if (name == "cmp" && data != nullptr && compares_our_name(data)) facts.names_us = true;
  }
}

RuleFacts read_rule(const nlmsghdr* message) {
  RuleFacts facts;
  for_each_attribute(message, sizeof(nfgenmsg), [&](const nlattr* attribute) {
    switch (mnl_attr_get_type(attribute)) {
      case NFTA_RULE_CHAIN:
        facts.chain = attribute_text(attribute);
        break;
      case NFTA_RULE_EXPRESSIONS:
        for_each_nested(attribute, [&](const nlattr* part) { read_expression(part, facts); });
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
                  FirewallRules& rules) {
  std::vector<RuleFacts> facts;
  NetlinkMessage get((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETRULE, NLM_F_DUMP);
  get.add_family_header<nfgenmsg>()->nfgen_family = static_cast<uint8_t>(family);
  get.put_string(NFTA_RULE_TABLE, table);
  auto read = socket.query(
      get, "cannot list the firewall's rules",
      [&](const nlmsghdr* message) { facts.push_back(read_rule(message)); },
      [&] { facts.clear(); });
  if (!read) return read;
  if (std::ranges::any_of(facts, &RuleFacts::names_us)) {
    rules.aware_tables.emplace_back(family, table);
  }
  for (FirewallChain& chain : rules.chains) {
    if (chain.family != family || chain.table != table) continue;
    chain.drops_the_rest =
        chain.drops_the_rest || std::ranges::any_of(facts, [&](const RuleFacts& rule) {
          return rule.chain == chain.name && rule.denies && !rule.matches;
        });
  }
  return {};
}

Result<FirewallRules> read_firewall(NetlinkSocket& netfilter) {
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
    if (auto read = read_table(netfilter, family, table, rules); !read) return pass(read);
  }
  return rules;
}

bool has_chain(const FirewallRules& rules, const FirewallChain& beside, std::string_view name) {
  return std::ranges::any_of(rules.chains, [&](const FirewallChain& chain) {
    return chain.family == beside.family && chain.table == beside.table && chain.name == name;
  });
}

std::string remedy(const FirewallRules& rules, const FirewallChain& chain,
                   std::string_view bridge) {
  if (has_chain(rules, chain, "DOCKER-USER")) {
    const char* program = chain.family == NftFamily::kIpv6 ? "ip6tables" : "iptables";
    return fmt::format(
        "{0} -I DOCKER-USER -i vmnet-+ -j ACCEPT && {0} -I DOCKER-USER -o vmnet-+ -m conntrack "
        "--ctstate ESTABLISHED,RELATED,DNAT -j ACCEPT",
        program);
  }
  if (has_chain(rules, chain, "ufw-user-forward") || has_chain(rules, chain, "ufw6-user-forward")) {
    return fmt::format("ufw route allow in on {}", bridge);
  }
  if (chain.table == "firewalld") {
    return fmt::format(
        "firewall-cmd --permanent --zone=trusted --add-interface={} && "
        "firewall-cmd --reload",
        bridge);
  }
  auto insert =
      fmt::format("nft insert rule {} {} {}", to_string(chain.family), chain.table, chain.name);
  return fmt::format(
      "{0} iifname \"vmnet-*\" accept && {0} oifname \"vmnet-*\" ct state "
      "established,related accept && {0} oifname \"vmnet-*\" ct status dnat accept",
      insert);
}

}  // namespace

std::vector<std::string> explain_firewall(const FirewallRules& rules, std::string_view bridge,
                                          bool ipv6) {
  std::vector<std::string> lines;
  for (const FirewallChain& chain : rules.chains) {
    if (!chain.forwards || !chain.drops_the_rest) continue;
    if (chain.family == NftFamily::kIpv6 && !ipv6) continue;
    if (std::ranges::find(rules.aware_tables, std::pair(chain.family, chain.table)) !=
        rules.aware_tables.end()) {
      continue;
    }
    lines.push_back(fmt::format(
        "the host's firewall drops forwarded packets (nftables table {} {}, chain {}), so VMs may "
        "not reach the uplink; to let them: {}",
        to_string(chain.family), chain.table, chain.name, remedy(rules, chain, bridge)));
  }
  return lines;
}

std::vector<std::string> check_firewall(NetlinkSocket& netfilter, std::string_view bridge,
                                        bool ipv6) {
  auto rules = read_firewall(netfilter);
  if (!rules) return {rules.error().message};
  auto lines = explain_firewall(*rules, bridge, ipv6);
  for (bool six : {false, true}) {
    if ((six && !ipv6) || !legacy_forward_drops(six)) continue;
    const char* program = six ? "ip6tables-legacy" : "iptables-legacy";
    lines.push_back(fmt::format(
        "the host's firewall drops forwarded packets ({0}, chain FORWARD), so VMs may not reach "
        "the uplink; to let them: {0} -I FORWARD -i vmnet-+ -j ACCEPT && {0} -I FORWARD -o vmnet-+ "
        "-m conntrack --ctstate ESTABLISHED,RELATED,DNAT -j ACCEPT",
        program));
  }
  return lines;
}

}  // namespace vmnet
