// Reads a command line of helper options one by one: getopt_long behind values and errors.
//
// vmnet-helper and vmnet-run take the same options and must agree on what is one, so both read
// with this. It knows names and which ones take a value (option_table.h); what a value means is
// options.cc's.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "helper/option_table.h"

namespace vmnet {

// An option of a command line. Points into that command line.
struct GivenOption {
  OptionId id;
  Programs programs;
  std::string name;  // "--fd" or "-f": the full name, in the form (long or short) that was used
  std::string_view value;
};

// Reads `argv` (argv[0] is the program's name) up to its first "--" or first argument that is not
// an option. getopt_long keeps its state in globals: one reader at a time in a process, and the
// next one starts afresh. The environment is not looked at (POSIXLY_CORRECT).
class OptionReader {
 public:
  explicit OptionReader(std::span<const char* const> argv);

  // The next option, nothing at the end of the options, or an error that names an unknown or
  // ambiguous option, one without its value or one with a value it does not take. A long option may
  // be abbreviated as far as it stays unambiguous.
  Result<std::optional<GivenOption>> next();

  // After the end: the index in argv of the first argument that is no option, argv's size if none.
  size_t rest() const { return rest_; }
  // After the end: it was a "--".
  bool ended_by_dashes() const { return ended_by_dashes_; }

 private:
  std::unexpected<Error> refusal(int optopt_value) const;

  std::vector<char*> arguments_;  // with the null pointer at its end that getopt_long expects
  size_t rest_ = 1;
  bool ended_by_dashes_ = false;
};

// "--fd 'x': MESSAGE", with whatever does not print in the value escaped and a long one cut.
std::unexpected<Error> refuse_value(const GivenOption& option, std::string_view message);

// An argument as an error message shows it: in quotes, escaped, cut where long.
std::string in_quotes(std::string_view argument);

}  // namespace vmnet
