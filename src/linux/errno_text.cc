#include <cstring>

#include <fmt/format.h>

#include "base/result.h"

namespace vmnet {

std::string errno_text(int err) {
  // strerrorname_np and strerrordesc_np (glibc 2.32) read constant tables: no locale, no buffer,
  // so any thread may call them.
  const char* description = strerrordesc_np(err);
  const char* name = strerrorname_np(err);
  if (description == nullptr || name == nullptr) return fmt::format("error {}", err);
  return fmt::format("{} ({})", description, name);
}

}  // namespace vmnet
