#include "helper/option_reader.h"

#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <getopt.h>

#include "base/log.h"

namespace vmnet {
namespace {

constexpr size_t kMaxQuoted = 128;

// "+": stop at the first argument that is not an option, whatever POSIXLY_CORRECT says.
// ":": tell a missing value from an unknown option.
std::string short_options() {
  std::string text = "+:";
  for (const OptionSpec& spec : option_table()) {
    if (spec.letter == 0) continue;
    text += spec.letter;
    if (spec.value_name != nullptr) text += ':';
  }
  return text;
}

std::vector<option> long_options() {
  std::vector<option> options;
  for (const OptionSpec& spec : option_table()) {
    int argument = spec.value_name != nullptr ? required_argument : no_argument;
    options.push_back(option{spec.name, argument, nullptr, static_cast<int>(spec.id)});
  }
  options.push_back(option{nullptr, 0, nullptr, 0});
  return options;
}

// By what getopt_long returned: an OptionId or a letter.
const OptionSpec* find_spec(int value) {
  for (const OptionSpec& spec : option_table()) {
    if (static_cast<int>(spec.id) == value || (value != 0 && spec.letter == value)) return &spec;
  }
  return nullptr;
}

std::string given_name(const OptionSpec& spec, int value) {
  return value == spec.letter ? fmt::format("-{}", spec.letter) : fmt::format("--{}", spec.name);
}

// The long options that an abbreviation `prefix` could mean.
std::vector<std::string> candidates(std::string_view prefix) {
  std::vector<std::string> names;
  for (const OptionSpec& spec : option_table()) {
    if (std::string_view(spec.name).starts_with(prefix)) {
      names.push_back(fmt::format("--{}", spec.name));
    }
  }
  return names;
}

}  // namespace

OptionReader::OptionReader(std::span<const char* const> argv) {
  // getopt_long's pointers are not const, but with "+" it changes neither order nor text.
  for (const char* argument : argv) arguments_.push_back(const_cast<char*>(argument));
  arguments_.push_back(nullptr);
  // 0 makes glibc start afresh, and the BSD one of macOS take it for its optreset.
  optind = 0;
  opterr = 0;
}

Result<std::optional<GivenOption>> OptionReader::next() {
  size_t count = arguments_.size() - 1;
  if (count == 0) return fail("empty command line: the program's own name is missing");
  static const std::string letters = short_options();
  static const std::vector<option> names = long_options();
  int value = getopt_long(static_cast<int>(count), arguments_.data(), letters.c_str(), names.data(),
                          nullptr);
  auto index = static_cast<size_t>(optind);
  if (value == -1) {
    // Only a "--" is stepped over at the end.
    ended_by_dashes_ = index > rest_;
    rest_ = index;
    return std::nullopt;
  }
  rest_ = index;
  const OptionSpec* spec = find_spec(value);
  if (value == ':') {
    const OptionSpec* incomplete = find_spec(optopt);
    if (incomplete == nullptr) return refusal(optopt);
    return fail(fmt::format("{}: needs a value, {}", given_name(*incomplete, optopt),
                            incomplete->value_name));
  }
  if (spec == nullptr) return refusal(optopt);
  std::string_view text = spec->value_name != nullptr ? optarg : "";
  return GivenOption{
      .id = spec->id, .programs = spec->programs, .name = given_name(*spec, value), .value = text};
}

// getopt_long's "?": a letter or a long name that is unknown, ambiguous, or takes no value.
std::unexpected<Error> OptionReader::refusal(int optopt_value) const {
  constexpr std::string_view kHint = "unknown option (--help lists them)";
  if (optopt_value != 0 && find_spec(optopt_value) == nullptr) {
    char letter = static_cast<char>(optopt_value);
    return fail(fmt::format("-{}: {}", escaped({&letter, 1}), kHint));
  }
  std::string_view word = arguments_[rest_ - 1];
  std::string_view name = word.substr(0, word.find('=')).substr(2);
  auto names = candidates(name);
  if (names.empty() || name.empty())
    return fail(fmt::format("{}: {}", escaped(word, kMaxQuoted), kHint));
  if (names.size() == 1 || find_spec(optopt_value) != nullptr) {
    return fail(fmt::format("{}: takes no value", escaped(word, kMaxQuoted)));
  }
  return fail(
      fmt::format("{}: ambiguous, could be {}", escaped(word, kMaxQuoted), fmt::join(names, ", ")));
}

std::unexpected<Error> refuse_value(const GivenOption& option, std::string_view message) {
  return fail(fmt::format("{} {}: {}", option.name, in_quotes(option.value), message));
}

std::string in_quotes(std::string_view argument) {
  return fmt::format("'{}'", escaped(argument, kMaxQuoted));
}

}  // namespace vmnet
