// What the benchmark's programs share: numbers on the command line, lines on standard output for
// the program that started them.
#pragma once

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <system_error>

namespace vmnet::bench {

// The whole of `text` as a number; ends the program where it is none.
template <typename T>
T number_or_exit(std::string_view text) {
  T value{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) {
    (void)std::fprintf(stderr, "not a number: %s\n", std::string(text).c_str());
    std::exit(1);
  }
  return value;
}

inline int descriptor_of(std::string_view text) { return number_or_exit<int>(text); }
inline double seconds_of(std::string_view text) { return number_or_exit<double>(text); }

// A line, at once.
inline void say(const std::string& line) {
  (void)std::puts(line.c_str());
  (void)std::fflush(stdout);
}

// Says why on standard error; the exit status.
inline int failed(std::string_view program, std::string_view why) {
  (void)std::fprintf(stderr, "%s: %s\n", std::string(program).c_str(), std::string(why).c_str());
  return 1;
}

}  // namespace vmnet::bench
