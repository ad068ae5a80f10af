// Log lines on standard error: "LEVEL [part] message", LEVEL padded to five.
//
// A line is one write(2), so lines of several threads or processes never mix. When the reader of
// standard error does not keep up, lines are lost rather than the data path held up. Control
// characters and bytes outside ASCII are escaped here, so text from outside cannot forge a line.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace vmnet {

enum class LogLevel { kDebug, kInfo, kWarn, kError };

// DEBUG lines are off until this is called (--verbose). Before threads start.
void enable_debug_log();
bool debug_log_enabled();

// Thread-safe. `part` is our own constant: options, network, dhcp, ...
void log_line(LogLevel level, std::string_view part, std::string_view message);

// Between the two lines are kept, the first hundred, and written by release_log(). Standard error
// is the user's, and a write to it may last as long as the user likes (a file of a FUSE file
// system): nobody may be kept waiting by it. One thread at a time; calls nest.
void hold_log();
void release_log();

template <typename... Args>
void log_debug(std::string_view part, fmt::format_string<Args...> format, Args&&... args) {
  if (debug_log_enabled()) {
    log_line(LogLevel::kDebug, part, fmt::format(format, std::forward<Args>(args)...));
  }
}

template <typename... Args>
void log_info(std::string_view part, fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::kInfo, part, fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args>
void log_warn(std::string_view part, fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::kWarn, part, fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args>
void log_error(std::string_view part, fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::kError, part, fmt::format(format, std::forward<Args>(args)...));
}

// `text` with every byte outside printable ASCII written as \n, \t, \r or \xNN, at most
// `max_length` bytes of it ("..." where cut).
std::string escaped(std::string_view text, size_t max_length = 512);

}  // namespace vmnet
