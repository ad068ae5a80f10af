#include "base/result.h"

#include <cstring>
#include <utility>

#include <fmt/format.h>

namespace vmnet {

std::unexpected<Error> fail(std::string message) {
  return std::unexpected(Error{.message = std::move(message), .os_errno = 0});
}

std::unexpected<Error> fail_errno(std::string_view what, int err, std::string_view hint) {
  std::string message = fmt::format("{}: {}", what, errno_text(err));
  if (!hint.empty()) message += fmt::format("; {}", hint);
  return std::unexpected(Error{.message = std::move(message), .os_errno = err});
}

}  // namespace vmnet
