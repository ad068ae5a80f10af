#include "run/run_options.h"

#include <string_view>

#include <fmt/format.h>

#include "helper/option_reader.h"
#include "helper/usage_text.h"

namespace vmnet {
namespace {

constexpr std::string_view kSyntax = "vmnet-run [OPTION]... [--] COMMAND [ARG]...";

// The options that vmnet-run decides itself or has no use for.
Status check_offered(const GivenOption& option) {
  if (option.programs == Programs::kBoth) return {};
  if (option.id == OptionId::kFd || option.id == OptionId::kSocket) {
    return refuse_value(option, "not an option of vmnet-run, which makes the VM's socket itself");
  }
  return fail(fmt::format("{}: not an option of vmnet-run, ask vmnet-helper", option.name));
}

Result<Options> parse_helper_arguments(std::span<const char* const> arguments) {
  std::vector<const char*> argv = {"vmnet-helper", "--fd=3"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return parse_options(argv);
}

// Whether options, -- and a command are left without the word at `place`: then it may as well be a
// stray one, or a value of an option that takes none, as the beginning of COMMAND.
bool can_be_left_out(std::span<const char* const> argv, size_t place) {
  std::vector<const char*> words(argv.begin(), argv.end());
  words.erase(words.begin() + static_cast<ptrdiff_t>(place));
  OptionReader reader(words);
  while (true) {
    auto option = reader.next();
    if (!option) return false;
    if (!*option) return reader.ended_by_dashes() && reader.rest() < words.size();
  }
}

}  // namespace

Result<RunOptions> parse_run_options(std::span<const char* const> argv) {
  RunOptions options;
  OptionReader reader(argv);
  while (true) {
    auto option = reader.next();
    if (!option) return pass(option);
    if (!*option) break;
    OptionId id = (*option)->id;
    if (id == OptionId::kHelp || id == OptionId::kVersion) {
      options.action = id == OptionId::kHelp ? Action::kHelp : Action::kVersion;
      return options;
    }
    if (auto offered = check_offered(**option); !offered) return pass(offered);
  }
  size_t rest = reader.rest();
  if (rest >= argv.size()) return fail(fmt::format("COMMAND is missing: {}", kSyntax));
  auto command = argv.subspan(rest);
  if (std::string_view(command[0]).empty()) return fail("'': COMMAND has no name");
  if (!reader.ended_by_dashes() && can_be_left_out(argv, rest)) {
    return fail(fmt::format(
        "{}: neither an option nor behind the --; if it is COMMAND, give a -- before it",
        in_quotes(command[0])));
  }

  auto helper_arguments = argv.subspan(1, rest - (reader.ended_by_dashes() ? 2 : 1));
  auto parsed = parse_helper_arguments(helper_arguments);
  if (!parsed) return pass(parsed);
  options.tap = parsed->network.hand_over_device;
  options.socket_type = parsed->target.type.value_or(SocketType::kDatagram);
  options.helper_arguments.assign(helper_arguments.begin(), helper_arguments.end());
  options.command.assign(command.begin(), command.end());
  return options;
}

std::string run_usage() {
  constexpr std::string_view kHead =
      R"(Runs COMMAND, a virtual machine, with a network interface: starts vmnet-helper,
prints its line of JSON, and gives COMMAND the VM's end of the Unix socket
as file descriptor 4, or with --tap the TAP device itself. Ends with
COMMAND's exit status, with 128+N where signal N ended COMMAND, and with 1 where
the network or COMMAND failed.
vmnet-helper is expected beside vmnet-run and is started through sudo where it
cannot get its privileges by itself.
)";
  constexpr std::string_view kExamples = R"(
Examples:
  vmnet-run -- qemu-system-x86_64 -m 1G disk.img \
    -device virtio-net-pci,netdev=net0 \
    -netdev dgram,id=net0,local.type=fd,local.str=4
  The same with the TAP device itself, for the most speed (Linux):
  vmnet-run --tap -- qemu-system-x86_64 -m 1G disk.img \
    -device virtio-net-pci,netdev=net0 -netdev tap,id=net0,fd=4
)";
  return fmt::format("Usage: {}\n\n{}\n{}{}", kSyntax, kHead, options_usage(Programs::kBoth),
                     kExamples);
}

}  // namespace vmnet
