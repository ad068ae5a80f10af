#include "helper/options.h"

#include <limits>

#include <fmt/format.h>

#include "base/parse.h"
#include "helper/given_options.h"
#include "helper/network_options.h"

namespace vmnet {
namespace {

constexpr uint32_t kMaxStatsInterval = 7 * 24 * 3600;

constexpr uint64_t kMegabyte = 1'000'000;
constexpr uint32_t kDefaultCaptureSize = 1024;  // megabytes
constexpr uint32_t kMaxCaptureSize = 1'000'000;

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

Result<std::optional<SocketType>> parse_socket_type(const GivenOptions& given) {
  const GivenOption* type = given.find(OptionId::kSocketType);
  if (type == nullptr) return std::nullopt;
  if (type->value == "dgram") return SocketType::kDatagram;
  if (type->value == "stream") return SocketType::kStream;
  return refuse_value(*type, "not one of dgram, stream");
}

Result<VmSocketTarget> parse_target(const GivenOptions& given) {
  const GivenOption* fd = given.find(OptionId::kFd);
  const GivenOption* socket = given.find(OptionId::kSocket);
  if (fd != nullptr && socket != nullptr) {
    return fail(fmt::format("{} {} and {} {}: only one of them can be the VM's socket", fd->name,
                            in_quotes(fd->value), socket->name, in_quotes(socket->value)));
  }
  auto type = parse_socket_type(given);
  if (!type) return pass(type);
  if (fd != nullptr) {
    auto number = parse_unsigned<unsigned>(fd->value);
    if (!number || *number > static_cast<unsigned>(std::numeric_limits<int>::max())) {
      return refuse_value(*fd, "not a file descriptor number");
    }
    return VmSocketTarget{.type = *type, .fd = static_cast<int>(*number), .path = {}};
  }
  if (socket != nullptr) {
    if (socket->value.empty()) return refuse_value(*socket, "the path is empty");
    return VmSocketTarget{.type = *type, .fd = std::nullopt, .path = std::string(socket->value)};
  }
  return fail("the VM's socket is missing: give --fd FD or --socket PATH");
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

Result<std::optional<CaptureTarget>> parse_capture(const GivenOptions& given) {
  const GivenOption* file = given.find(OptionId::kCapture);
  const GivenOption* size = given.find(OptionId::kCaptureSize);
  if (file == nullptr) {
    if (size != nullptr) return refuse(*size, "only with --capture");
    return std::nullopt;
  }
  if (file->value.empty()) return refuse_value(*file, "the path is empty");
  if (given.has(OptionId::kTap)) {
    return refuse(*file,
                  "not possible with --tap, the kernel carries the frames "
                  "(tcpdump -i DEVICE on the host sees them)");
  }
  auto megabytes = std::optional(kDefaultCaptureSize);
  if (size != nullptr) megabytes = parse_unsigned<uint32_t>(size->value);
  if (!megabytes || *megabytes == 0 || *megabytes > kMaxCaptureSize) {
    return refuse_value(*size,
                        fmt::format("not a number of megabytes from 1 to {}", kMaxCaptureSize));
  }
  return CaptureTarget{.path = std::string(file->value), .max_bytes = *megabytes * kMegabyte};
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
    return fail(
        fmt::format("{}: not an option (--help lists them)", in_quotes(argv[reader.rest()])));
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
  auto capture = parse_capture(given);
  if (!capture) return pass(capture);
  options.capture = std::move(*capture);
  return options;
}

}  // namespace vmnet
