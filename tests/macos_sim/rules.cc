#include "rules.h"

#include <unistd.h>

namespace macos_sim {

void broken_rule(const std::string& what) {
  std::string line = "[macos-sim] broken rule: " + what + "\n";
  [[maybe_unused]] ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
  ::_exit(kBrokenRuleStatus);
}

}  // namespace macos_sim
