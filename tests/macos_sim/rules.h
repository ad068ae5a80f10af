// What ends a program that breaks a rule of the simulated system.
#pragma once

#include <string>

namespace macos_sim {

inline constexpr int kBrokenRuleStatus = 86;

// Of the same thing that has failed for want of room: more would hold up what comes after.
inline constexpr int kMaxTries = 16;

// "[macos-sim] broken rule: ..." on standard error and exit status 86, at once.
[[noreturn]] void broken_rule(const std::string& what);

inline void require(bool kept, const char* rule) {
  if (!kept) broken_rule(rule);
}

}  // namespace macos_sim
