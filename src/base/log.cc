#include "base/log.h"

#include <array>
#include <utility>
#include <vector>

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/journal.h"

namespace vmnet {
namespace {

bool debug_enabled = false;
bool to_journal = false;

constexpr size_t kMaxMessage = 2048;  // a line stays under PIPE_BUF (4096), so its write is atomic

bool standard_error_accepts_a_line() {
  pollfd poll_entry{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
  return ::poll(&poll_entry, 1, 0) == 1 && (poll_entry.revents & POLLOUT) != 0;
}

constexpr size_t kMaxHeldLines = 100;

struct HeldLines {
  int holders = 0;
  std::vector<std::string> lines;
};
HeldLines held;

void write_line(const std::string& line) {
  if (!standard_error_accepts_a_line()) return;
  // A log that cannot be written has nowhere to be reported.
  [[maybe_unused]] ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace

void enable_debug_log() { debug_enabled = true; }

bool debug_log_enabled() { return debug_enabled; }

void tell_journal_priorities(const char* journal_stream) {
  struct stat status{};
  to_journal = journal_stream != nullptr && ::fstat(STDERR_FILENO, &status) == 0 &&
               fmt::format("{}:{}", status.st_dev, status.st_ino) == journal_stream;
}

void log_line(LogLevel level, std::string_view part, std::string_view message) {
  constexpr std::array<std::string_view, 4> kNames = {"DEBUG", "INFO", "WARN", "ERROR"};
  constexpr std::array<std::string_view, 4> kPriorities = {"<7>", "<6>", "<4>", "<3>"};
  if (level == LogLevel::kDebug && !debug_enabled) return;
  auto index = static_cast<size_t>(level);
  std::string line = fmt::format("{}{:<5} [{}] {}\n", to_journal ? kPriorities.at(index) : "",
                                 kNames.at(index), part, escaped(message, kMaxMessage));
  if (held.holders == 0) return write_line(line);
  if (held.lines.size() < kMaxHeldLines) held.lines.push_back(std::move(line));
}

void hold_log() { held.holders++; }

void release_log() {
  if (--held.holders > 0) return;
  for (const std::string& line : std::exchange(held.lines, {})) write_line(line);
}

std::string escaped(std::string_view text, size_t max_length) {
  std::string out;
  out.reserve(text.size());
  for (char c : text) {
    if (out.size() >= max_length) return out + "...";
    auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte >= 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace vmnet
