// The command lines of vmnet-helper and vmnet-run. Arguments are separated by zero bytes, as in
// /proc/PID/cmdline. Holds that a refusal is one printable line that says something, and that what
// is accepted keeps the promises of platform/config.h.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "helper/options.h"
#include "run/run_options.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void check_message(const vmnet::Error& error) {
  require(!error.message.empty() && error.message.size() < 1000);
  for (char c : error.message) require(c >= 0x20 && c < 0x7f);
}

void check_range(const vmnet::AddressRange& range) {
  vmnet::Ipv4Subnet subnet = range.subnet();
  require(range.prefix_length >= 8 && range.prefix_length <= 30);
  require(range.start < range.end);
  for (vmnet::Ipv4 address : {range.start, range.end}) {
    require(vmnet::is_private(address) && subnet.contains(address));
    require(address != subnet.address && address != subnet.broadcast());
  }
}

void check_options(const vmnet::Options& options) {
  if (options.action != vmnet::Action::kRun) return;
  require(options.target.fd.has_value() == options.target.path.empty());
  require(!options.target.fd || *options.target.fd >= 0);
  require(!options.stats_interval || options.stats_interval->count() > 0);
  require(!options.capture || (!options.capture->path.empty() && options.capture->max_bytes > 0));
  const vmnet::NetworkConfig& network = options.network;
  bool bridged = network.mode == vmnet::Mode::kBridged;
  require(bridged != network.shared_interface.empty());
  require(network.shared_interface.size() <= 15);
  require(!bridged || (!network.addresses && !network.enable_isolation));
  require(!network.addresses || !network.private_network);
  require(!network.private_network || network.mode == vmnet::Mode::kHost);
  require(network.network_name.empty() || (!network.addresses && !network.private_network));
  if (network.addresses) check_range(*network.addresses);
  if (network.private_network && network.private_network->addresses) {
    check_range(*network.private_network->addresses);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> words;
  while (!text.empty()) {
    size_t end = text.find('\0');
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  std::vector<const char*> argv;
  for (const std::string& word : words) argv.push_back(word.c_str());

  auto options = vmnet::parse_options(argv);
  if (options) {
    check_options(*options);
  } else {
    check_message(options.error());
  }
  auto run_options = vmnet::parse_run_options(argv);
  if (!run_options) {
    check_message(run_options.error());
  } else if (run_options->action == vmnet::Action::kRun) {
    require(!run_options->command.empty());
    // The program's own name is neither, nor is a "--" between the two.
    size_t others =
        argv.size() - run_options->helper_arguments.size() - run_options->command.size();
    require(others == 1 || others == 2);
  }
  return 0;
}
