#include "helper/usage_text.h"

#include <algorithm>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "helper/version.h"

namespace vmnet {
namespace {

constexpr size_t kWidth = 80;
constexpr size_t kTextColumn = 30;

constexpr std::string_view kHead =
    R"(Usage: vmnet-helper (--fd FD | --socket PATH) [OPTION]...
       vmnet-helper --list-shared-interfaces | --version | --help

Gives a virtual machine a network interface. Frames come from and go to the VM
over a Unix socket; one line of JSON on standard output describes the
interface once it works. Ends on SIGTERM, SIGINT or when the VM has gone.

)";

constexpr std::string_view kExamples = R"(
Examples:
  A network with NAT for the VM whose program connects to ./vm.sock:
    vmnet-helper --socket vm.sock
  The same for a VM in the network of the host's bridge br0:
    vmnet-helper -s vm.sock --operation-mode bridged --shared-interface br0
)";

// The row's Markdown as plain text: what it means, where, and the default.
std::string explanation(const OptionSpec& spec) {
  std::string notes;
  if (spec.platform) notes = *spec.platform == Platform::kLinux ? "Linux" : "macOS";
  if (spec.default_text != nullptr) {
    notes += fmt::format("{}default: {}", notes.empty() ? "" : "; ", spec.default_text);
  }
  std::string text = notes.empty() ? spec.help : fmt::format("{} ({})", spec.help, notes);
  std::erase(text, '`');
  return text;
}

std::vector<std::string> wrapped(std::string_view text, size_t width) {
  std::vector<std::string> lines(1);
  while (!text.empty()) {
    std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    if (!lines.back().empty() && lines.back().size() + 1 + word.size() > width) {
      lines.emplace_back();
    }
    if (!lines.back().empty()) lines.back() += ' ';
    lines.back() += word;
  }
  return lines;
}

std::string option_usage(const OptionSpec& spec) {
  std::string text = spec.letter != 0 ? fmt::format("  -{}, --{}", spec.letter, spec.name)
                                      : fmt::format("      --{}", spec.name);
  if (spec.value_name != nullptr) text += fmt::format(" {}", spec.value_name);
  size_t column = text.size();
  if (column + 1 > kTextColumn) {
    text += '\n';
    column = 0;
  }
  for (const std::string& line : wrapped(explanation(spec), kWidth - kTextColumn)) {
    text += fmt::format("{:{}}{}\n", "", kTextColumn - column, line);
    column = 0;
  }
  return text;
}

}  // namespace

std::string options_usage(Programs programs) {
  std::string text;
  std::optional<OptionSection> section;
  for (const OptionSpec& spec : option_table()) {
    if (programs == Programs::kBoth && spec.programs == Programs::kHelper) continue;
    if (section != spec.section) {
      text += fmt::format("{}{}\n", text.empty() ? "" : "\n", section_title(spec.section));
      section = spec.section;
    }
    text += option_usage(spec);
  }
  return text;
}

std::string helper_usage() {
  return fmt::format("{}{}{}", kHead, options_usage(Programs::kHelper), kExamples);
}

std::string version_text() { return fmt::format("version: {}\ncommit: {}\n", kVersion, kCommit); }

}  // namespace vmnet
