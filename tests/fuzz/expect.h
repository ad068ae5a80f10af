// What must hold in a fuzz target; a violation ends the program, so that libFuzzer keeps the input.
#pragma once

namespace vmnet::fuzz {

inline void expect(bool holds) {
  if (!holds) __builtin_trap();
}

}  // namespace vmnet::fuzz
