// What the tests of the command line share.
#pragma once

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "helper/options.h"

namespace vmnet {

using Words = std::vector<std::string>;

inline Result<Options> parse(const Words& words, Platform platform = Platform::kLinux) {
  std::vector<const char*> argv = {"vmnet-helper"};
  for (const std::string& word : words) argv.push_back(word.c_str());
  return parse_options(argv, platform);
}

// A parse that must succeed; an empty Options where it did not.
inline Options parsed(const Words& words, Platform platform = Platform::kLinux) {
  auto options = parse(words, platform);
  EXPECT_TRUE(options.has_value()) << options.error().message;
  return options.value_or(Options{});
}

inline Words with_fd(Words words) {
  words.insert(words.begin(), {"--fd", "3"});
  return words;
}

inline Words addresses(const std::string& start, const std::string& end, const std::string& mask) {
  return with_fd({"--start-address", start, "--end-address", end, "--subnet-mask", mask});
}

inline constexpr const char* kUuid = "2f8d5b1c-95a0-4a52-a1f2-0123456789ab";

}  // namespace vmnet
