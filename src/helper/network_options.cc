#include "helper/network_options.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/dns_label.h"
#include "base/ip.h"
#include "base/uuid.h"
#include "helper/address_options.h"

namespace vmnet {
namespace {

constexpr size_t kMaxInterfaceName = 15;  // IFNAMSIZ - 1, on Linux and macOS
constexpr size_t kMaxNetworkName = 255;

bool is_printable(char c) { return c >= 0x20 && c < 0x7f; }

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

// Options of what the helper does at the gateway, where it is not one.
Status check_no_gateway(const GivenOptions& given, std::string_view why) {
  for (const OptionSpec& spec : option_table()) {
    if (const GivenOption* option = given.find(spec.id); option != nullptr && spec.at_gateway) {
      return refuse(*option, why);
    }
  }
  return {};
}

Status check_bridged(const GivenOptions& given) {
  if (!given.has(OptionId::kSharedInterface)) {
    return refuse(*given.find(OptionId::kOperationMode),
                  "needs --shared-interface NAME (--list-shared-interfaces lists the names)");
  }
  if (const GivenOption* isolation = given.find(OptionId::kEnableIsolation)) {
    return refuse(*isolation, "not possible in bridged mode");
  }
  return check_no_gateway(given, "not possible in bridged mode, where the gateway is another's");
}

Result<std::string> parse_network_name(const GivenOption& option, Platform platform) {
  if (platform == Platform::kLinux) {
    auto label = parse_dns_label(option.value);
    if (!label) {
      return refuse_value(option,
                          "not a name of 1 to 63 letters, digits and hyphens that begins and ends "
                          "with a letter or digit");
    }
    return *label;
  }
  std::string_view name = option.value;  // whoever made the network named it
  if (name.empty() || name.size() > kMaxNetworkName || !std::ranges::all_of(name, is_printable)) {
    return refuse_value(option, "not the name of a network");
  }
  return std::string(name);
}

// --network: with the name all this is decided.
Result<std::string> parse_named_network(const GivenOptions& given, Platform platform) {
  const GivenOption& network = *given.find(OptionId::kNetwork);
  auto name = parse_network_name(network, platform);
  if (!name) return name;
  const GivenOption* excluded =
      given.find_any({OptionId::kOperationMode, OptionId::kSharedInterface, OptionId::kStartAddress,
                      OptionId::kEndAddress, OptionId::kSubnetMask, OptionId::kNetworkId,
                      OptionId::kHostIpAddress, OptionId::kHostSubnetMask});
  if (excluded != nullptr) {
    return refuse(*excluded, fmt::format("not possible with {} {}, which decides it", network.name,
                                         in_quotes(network.value)));
  }
  return name;
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
  } else if (auto possible = check_no_gateway(given,
                                              "not possible with --network-id but where "
                                              "--host-ip-address is given");
             !possible) {
    return pass(possible);
  }
  return network;
}

// Which network of that mode, and its addresses where that leaves them open.
Status parse_layout(const GivenOptions& given, Platform platform, NetworkConfig& network) {
  if (given.has(OptionId::kNetwork)) {
    auto name = parse_named_network(given, platform);
    if (!name) return pass(name);
    network.network_name = *name;
    return {};
  }
  if (network.mode == Mode::kBridged) {
    if (auto possible = check_bridged(given); !possible) return possible;
    network.shared_interface = given.find(OptionId::kSharedInterface)->value;
  }
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

}  // namespace

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
  if (const GivenOption* shared_interface = given.find(OptionId::kSharedInterface)) {
    if (auto valid = check_interface_name(*shared_interface); !valid) return pass(valid);
  }
  if (auto layout = parse_layout(given, platform, network); !layout) return pass(layout);
  if (const GivenOption* option = given.find(OptionId::kIpAddress)) {
    const auto& own = network.private_network;
    auto address = parse_vm_address(*option, own ? own->addresses : network.addresses);
    if (!address) return pass(address);
    network.vm_address = *address;
  }
  auto servers = parse_dns_servers(given.all(OptionId::kDns));
  if (!servers) return pass(servers);
  network.dns_servers = std::move(servers->ipv4);
  network.dns_servers_ipv6 = std::move(servers->ipv6);
  return network;
}

std::vector<std::string> ignored_options(const GivenOptions& given, Mode mode) {
  std::vector<std::string> names;
  for (OptionId id : kAddressOptions) {
    if (const GivenOption* option = given.find(id)) names.push_back(option->name);
  }
  if (mode != Mode::kBridged || names.empty()) return {};
  return {fmt::format("{}: ignored in bridged mode, the addresses are the other network's",
                      fmt::join(names, ", "))};
}

}  // namespace vmnet
