#include "run/helper_line.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <string_view>

#include <unistd.h>

namespace vmnet {
namespace {

constexpr size_t kMaxLine = 65536;

}  // namespace

void HelperLine::read_more() {
  std::array<char, 4096> buffer{};
  while (!complete_ && !failed_) {
    ssize_t length = ::read(reader_.get(), buffer.data(), buffer.size());
    if (length < 0 && errno == EINTR) continue;
    if (length < 0 && errno == EAGAIN) return;
    if (length <= 0) {
      failed_ = true;
      return;
    }
    std::string_view chunk(buffer.data(), static_cast<size_t>(length));
    size_t line_end = chunk.find('\n');
    complete_ = line_end != std::string_view::npos;
    text_ += complete_ ? chunk.substr(0, line_end + 1) : chunk;
    failed_ = !complete_ && text_.size() > kMaxLine;
  }
}

Status HelperLine::print_some() {
  size_t size = std::min<size_t>(text_.size() - printed_, PIPE_BUF);
  ssize_t length = ::write(STDOUT_FILENO, text_.data() + printed_, size);
  if (length >= 0) {
    printed_ += static_cast<size_t>(length);
  } else if (errno != EAGAIN && errno != EINTR) {
    return fail_errno("cannot write to standard output", errno);
  }
  return {};
}

}  // namespace vmnet
