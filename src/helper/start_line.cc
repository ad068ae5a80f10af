#include "helper/start_line.h"

#include <string_view>

#include <fmt/format.h>

#include "helper/option_reader.h"
#include "helper/version.h"

namespace vmnet {
namespace {

std::string_view name_of(Mode mode) {
  switch (mode) {
    case Mode::kShared:
      return "shared";
    case Mode::kBridged:
      return "bridged";
    case Mode::kHost:
      break;
  }
  return "host";
}

std::string network_of(const NetworkConfig& config, const Description& description) {
  if (!config.network_name.empty()) return in_quotes(config.network_name);
  if (config.mode == Mode::kBridged) return config.shared_interface;
  if (description.addresses) {
    const AddressRange& range = *description.addresses;
    return fmt::format("{}/{}", to_string(range.subnet().address), range.prefix_length);
  }
  if (config.private_network) return to_string(config.private_network->id);
  return "without addresses";
}

}  // namespace

std::string start_line(const Options& options, const Description& description, uid_t user) {
  const VmSocketTarget& target = options.target;
  const std::string& device = description.host_interface;
  return fmt::format(
      "started: version {}, mode {}, network {}, user {}, device {}, peer {}", kVersion,
      name_of(options.network.mode), network_of(options.network, description), user,
      device.empty() ? "of vmnet" : device,
      target.fd ? fmt::format("--fd {}", *target.fd) : "--socket " + in_quotes(target.path));
}

}  // namespace vmnet
