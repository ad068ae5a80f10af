#include "helper/options.h"

#include <algorithm>
#include <limits>
#include <map>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/ip.h"
#include "base/parse.h"
#include "base/uuid.h"
#include "helper/address_options.h"
#include "helper/option_reader.h"

namespace vmnet {
namespace {

constexpr size_t kMaxInterfaceName = 15;  // IFNAMSIZ - 1, on Linux and macOS
constexpr size_t kMaxNetworkName = 255;
constexpr uint32_t kMaxStatsInterval = 7 * 24 * 3600;

bool is_printable(char c) { return c >= 0x20 && c < 0x7f; }

// What the command line says.
class GivenOptions {
 public:
  void add(GivenOption option) {
    OptionId id = option.id;
    by_id_[id].push_back(std::move(option));
  }

  // All of a repeatable option, in order.
  std::span<const GivenOption> all(OptionId id) const {
    auto entry = by_id_.find(id);
    return entry == by_id_.end() ? std::span<const GivenOption>{} : entry->second;
  }

  // The last one counts.
  const GivenOption* find(OptionId id) const {
    auto given = all(id);
    return given.empty() ? nullptr : &given.back();
  }

  bool has(OptionId id) const { return by_id_.contains(id); }

  // The first of `ids` that is there.
  const GivenOption* find_any(std::initializer_list<OptionId> ids) const {
    for (OptionId id : ids) {
      if (const GivenOption* option = find(id)) return option;
    }
    return nullptr;
  }

 private:
  std::map<OptionId, std::vector<GivenOption>> by_id_;
};

// An option that something else on the command line rules out.
std::unexpected<Error> refuse(const GivenOption& option, std::string_view why) {
  if (option.value.empty()) return fail(fmt::format("{}: {}", option.name, why));
  return refuse_value(option, why);
}

// Options that only the other platform has.
Status check_platform(const GivenOptions& given, Platform platform) {
  for (const OptionSpec& spec : option_table()) {
    const GivenOption* option = given.find(spec.id);
    if (option == nullptr || !spec.platform || *spec.platform == platform) continue;
    return refuse(*option, platform == Platform::kMacos ? "not possible on macOS, only on Linux"
                                                        : "not possible on Linux, only on macOS");
  }
  return {};
}

Result<VmSocketTarget> parse_target(const GivenOptions& given) {
  const GivenOption* fd = given.find(OptionId::kFd);
  const GivenOption* socket = given.find(OptionId::kSocket);
  if (fd != nullptr && socket != nullptr) {
    return fail(fmt::format("{} {} and {} {}: only one of them can be the VM's socket", fd->name,
                            quoted(fd->value), socket->name, quoted(socket->value)));
  }
  if (fd != nullptr) {
    auto number = parse_unsigned<unsigned>(fd->value);
    if (!number || *number > static_cast<unsigned>(std::numeric_limits<int>::max())) {
      return refuse_value(*fd, "not a file descriptor number");
    }
    return VmSocketTarget{.fd = static_cast<int>(*number), .path = {}};
  }
  if (socket != nullptr) {
    if (socket->value.empty()) return refuse_value(*socket, "the path is empty");
    return VmSocketTarget{.fd = std::nullopt, .path = std::string(socket->value)};
  }
  return fail("the VM's socket is missing: give --fd FD or --socket PATH");
}

Result<Uuid> parse_uuid_option(const GivenOption& option) {
  auto uuid = parse_uuid(option.value);
  if (!uuid) {
    return refuse_value(option, "not a UUID such as 2F8D5B1C-95A0-4A52-A1F2-0123456789AB");
  }
  return *uuid;
}

Result<Mode> parse_mode(const GivenOptions& given) {
  const GivenOption* mode = given.find(OptionId::kOperationMode);
  if (mode == nullptr || mode->value == "shared") return Mode::kShared;
  if (mode->value == "bridged") return Mode::kBridged;
  if (mode->value == "host") return Mode::kHost;
  return refuse_value(*mode, "not one of shared, bridged, host");
}

// What the kernel takes as a device name (dev_valid_name in Linux's net/core/dev.c), further
// without '%', which asks it to number the name, and without what does not print.
Status check_interface_name(const GivenOption& option) {
  std::string_view name = option.value;
  auto allowed = [](char c) {
    return is_printable(c) && std::string_view(" /:%").find(c) == std::string_view::npos;
  };
  if (name.empty() || name.size() > kMaxInterfaceName || name == "." || name == ".." ||
      !std::ranges::all_of(name, allowed)) {
    return refuse_value(option, "not the name of a network interface (1 to 15 characters)");
  }
  return {};
}

// The options that ask for addresses on a network of our own, explicit ones.
constexpr std::initializer_list<OptionId> kAddressOptions = {
    OptionId::kStartAddress, OptionId::kEndAddress, OptionId::kSubnetMask};

Status check_bridged(const GivenOptions& given) {
  if (!given.has(OptionId::kSharedInterface)) {
    return refuse(*given.find(OptionId::kOperationMode),
                  "needs --shared-interface NAME (--list-shared-interfaces lists the names)");
  }
  if (const GivenOption* isolation = given.find(OptionId::kEnableIsolation)) {
    return refuse(*isolation, "not possible in bridged mode");
  }
  if (const GivenOption* dns = given.find(OptionId::kDns)) {
    return refuse(*dns, "not possible in bridged mode, DHCP is the other network's");
  }
  return {};
}

// Callers give them whatever the mode is.
std::vector<std::string> ignored_options(const GivenOptions& given, Mode mode) {
  std::vector<std::string> names;
  for (OptionId id : kAddressOptions) {
    if (const GivenOption* option = given.find(id)) names.push_back(option->name);
  }
  if (mode != Mode::kBridged || names.empty()) return {};
  return {fmt::format("{}: ignored in bridged mode, the addresses are the other network's",
                      fmt::join(names, ", "))};
}

// --network: whoever made the network has decided all this.
Status check_named_network(const GivenOptions& given) {
  const GivenOption& network = *given.find(OptionId::kNetwork);
  if (network.value.empty() || network.value.size() > kMaxNetworkName ||
      !std::ranges::all_of(network.value, is_printable)) {
    return refuse_value(network, "not the name of a network");
  }
  const GivenOption* excluded =
      given.find_any({OptionId::kOperationMode, OptionId::kSharedInterface, OptionId::kStartAddress,
                      OptionId::kEndAddress, OptionId::kSubnetMask, OptionId::kNetworkId,
                      OptionId::kHostIpAddress, OptionId::kHostSubnetMask, OptionId::kDns});
  if (excluded != nullptr) {
    return refuse(*excluded, fmt::format("not possible with {} {}, which decides it", network.name,
                                         quoted(network.value)));
  }
  return {};
}

// --start-address, --end-address and --subnet-mask on Linux: all or none.
Result<std::optional<AddressRange>> parse_addresses(const GivenOptions& given) {
  const GivenOption* any = given.find_any(kAddressOptions);
  if (any == nullptr) return std::nullopt;
  for (OptionId id : kAddressOptions) {
    if (!given.has(id)) {
      return refuse(*any, "--start-address, --end-address and --subnet-mask come together");
    }
  }
  auto range =
      parse_address_range(*given.find(OptionId::kStartAddress), *given.find(OptionId::kEndAddress),
                          *given.find(OptionId::kSubnetMask));
  if (!range) return pass(range);
  return *range;
}

Result<PrivateNetwork> parse_private_network(const GivenOptions& given, Mode mode) {
  const GivenOption& network_id = *given.find(OptionId::kNetworkId);
  auto id = parse_uuid_option(network_id);
  if (!id) return pass(id);
  if (mode != Mode::kHost) return refuse(network_id, "needs --operation-mode host");
  if (const GivenOption* address = given.find_any(kAddressOptions)) {
    return refuse(*address,
                  "not possible with --network-id, give --host-ip-address and --host-subnet-mask");
  }
  PrivateNetwork network{.id = *id, .addresses = std::nullopt};
  const GivenOption* host = given.find(OptionId::kHostIpAddress);
  const GivenOption* mask = given.find(OptionId::kHostSubnetMask);
  if (host != nullptr && mask != nullptr) {
    auto range = parse_host_address(*host, *mask);
    if (!range) return pass(range);
    network.addresses = *range;
  } else if (host != nullptr || mask != nullptr) {
    return refuse(host != nullptr ? *host : *mask,
                  "--host-ip-address and --host-subnet-mask come together");
  } else if (const GivenOption* dns = given.find(OptionId::kDns)) {
    return refuse(*dns, "a --network-id network without --host-ip-address has no DHCP to tell it");
  }
  return network;
}

// The addresses of the network and who may join it, where the mode leaves that open.
Status parse_layout(const GivenOptions& given, Platform platform, NetworkConfig& network) {
  if (given.has(OptionId::kNetworkId)) {
    auto private_network = parse_private_network(given, network.mode);
    if (!private_network) return pass(private_network);
    network.private_network = *private_network;
    return {};
  }
  if (const GivenOption* host =
          given.find_any({OptionId::kHostIpAddress, OptionId::kHostSubnetMask})) {
    return refuse(*host, "needs --network-id");
  }
  if (network.mode == Mode::kBridged) return {};
  if (platform == Platform::kMacos) {
    auto unjudged = parse_unjudged_addresses(given.find(OptionId::kStartAddress),
                                             given.find(OptionId::kEndAddress),
                                             given.find(OptionId::kSubnetMask));
    if (!unjudged) return pass(unjudged);
    network.unjudged_addresses = *unjudged;
    return {};
  }
  auto addresses = parse_addresses(given);
  if (!addresses) return pass(addresses);
  network.addresses = *addresses;
  return {};
}

Result<NetworkConfig> parse_network(const GivenOptions& given, Platform platform) {
  NetworkConfig network;
  network.enable_tso = given.has(OptionId::kEnableTso);
  network.enable_checksum_offload = given.has(OptionId::kEnableChecksumOffload);
  network.enable_isolation = given.has(OptionId::kEnableIsolation);
  network.hand_over_device = given.has(OptionId::kTap);
  if (const GivenOption* id = given.find(OptionId::kInterfaceId)) {
    auto uuid = parse_uuid_option(*id);
    if (!uuid) return pass(uuid);
    network.interface_id = *uuid;
  }
  auto mode = parse_mode(given);
  if (!mode) return pass(mode);
  network.mode = *mode;
  const GivenOption* shared_interface = given.find(OptionId::kSharedInterface);
  if (shared_interface != nullptr) {
    if (auto valid = check_interface_name(*shared_interface); !valid) return pass(valid);
  }
  if (const GivenOption* name = given.find(OptionId::kNetwork)) {
    if (auto possible = check_named_network(given); !possible) return pass(possible);
    network.network_name = name->value;
    return network;
  }
  if (*mode == Mode::kBridged) {
    if (auto possible = check_bridged(given); !possible) return pass(possible);
    network.shared_interface = shared_interface->value;
  }
  if (auto layout = parse_layout(given, platform, network); !layout) return pass(layout);
  auto servers = parse_dns_servers(given.all(OptionId::kDns));
  if (!servers) return pass(servers);
  network.dns_servers = std::move(servers->ipv4);
  network.dns_servers_ipv6 = std::move(servers->ipv6);
  return network;
}

// --tap: the device is handed over once, through the socket that the VM's program has already.
Status check_tap(const GivenOptions& given) {
  const GivenOption* tap = given.find(OptionId::kTap);
  if (tap == nullptr) return {};
  if (given.has(OptionId::kSocket)) return refuse(*tap, "not possible with --socket, give --fd FD");
  if (given.has(OptionId::kStatsInterval)) {
    return refuse(*tap,
                  "not possible with --stats-interval, the kernel carries and counts the "
                  "frames (ip -s link)");
  }
  return {};
}

Result<std::optional<std::chrono::seconds>> parse_stats_interval(const GivenOptions& given) {
  const GivenOption* interval = given.find(OptionId::kStatsInterval);
  if (interval == nullptr) return std::nullopt;
  auto seconds = parse_unsigned<uint32_t>(interval->value);
  if (!seconds || *seconds == 0 || *seconds > kMaxStatsInterval) {
    return refuse_value(*interval,
                        fmt::format("not a number of seconds from 1 to {}", kMaxStatsInterval));
  }
  return std::chrono::seconds(*seconds);
}

}  // namespace

Result<Options> parse_options(std::span<const char* const> argv, Platform platform) {
  Options options;
  OptionReader reader(argv);
  GivenOptions given;
  while (true) {
    auto option = reader.next();
    if (!option) return pass(option);
    if (!*option) break;
    OptionId id = (*option)->id;
    if (id == OptionId::kHelp || id == OptionId::kVersion) {
      options.action = id == OptionId::kHelp ? Action::kHelp : Action::kVersion;
      return options;
    }
    given.add(std::move(**option));
  }
  if (reader.rest() < argv.size()) {
    return fail(fmt::format("{}: not an option (--help lists them)", quoted(argv[reader.rest()])));
  }
  options.verbose = given.has(OptionId::kVerbose);
  if (given.has(OptionId::kListSharedInterfaces)) {
    options.action = Action::kListSharedInterfaces;
    return options;
  }
  if (auto possible = check_platform(given, platform); !possible) return pass(possible);
  if (auto possible = check_tap(given); !possible) return pass(possible);
  auto target = parse_target(given);
  if (!target) return pass(target);
  options.target = std::move(*target);
  auto network = parse_network(given, platform);
  if (!network) return pass(network);
  options.network = std::move(*network);
  options.warnings = ignored_options(given, options.network.mode);
  auto interval = parse_stats_interval(given);
  if (!interval) return pass(interval);
  options.stats_interval = *interval;
  return options;
}

}  // namespace vmnet
