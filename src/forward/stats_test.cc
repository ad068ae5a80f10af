#include "forward/stats.h"

#include <cstdlib>
#include <ctime>
#include <regex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace vmnet {
namespace {

using ::testing::MatchesRegex;

TEST(DirectionStats, AddsWhatWasDelivered) {
  DirectionStats stats;
  stats.add({.frames = 3, .bytes = 300, .drops = 1, .batched_calls = 2, .single_calls = 5});
  stats.add({.frames = 1, .bytes = 60, .drops = 0, .batched_calls = 1, .single_calls = 0});
  stats.add_drops(4);
  DirectionCounts counts = stats.counts();
  EXPECT_EQ(counts.packets, 4U);
  EXPECT_EQ(counts.bytes, 360U);
  EXPECT_EQ(counts.drops, 5U);
  EXPECT_EQ(counts.fast, 3U);
  EXPECT_EQ(counts.slow, 5U);
}

TEST(DirectionStats, AReadCountsItsCallsAndDropsButNotItsFrames) {
  DirectionStats stats;
  stats.add_read({.frames = 3, .bytes = 300, .drops = 1, .batched_calls = 2, .single_calls = 5});
  DirectionCounts counts = stats.counts();
  EXPECT_EQ(counts.packets, 0U);
  EXPECT_EQ(counts.bytes, 0U);
  EXPECT_EQ(counts.drops, 1U);
  EXPECT_EQ(counts.fast, 2U);
  EXPECT_EQ(counts.slow, 5U);
}

class StatsJson : public ::testing::Test {
 protected:
  ~StatsJson() override { use_zone("UTC0"); }

  static void use_zone(const char* zone) {
    ::setenv("TZ", zone, 1);
    ::tzset();
  }

  static std::string time_in(const char* zone) {
    use_zone(zone);
    return nlohmann::json::parse(stats_json({}, {}))["time"];
  }
};

TEST_F(StatsJson, IsOneLineWithBothDirectionsInOrder) {
  std::string json = stats_json({.packets = 1, .bytes = 2, .drops = 3, .fast = 4, .slow = 5},
                                {.packets = 6, .bytes = 7, .drops = 8, .fast = 9, .slow = 10});
  EXPECT_THAT(json, MatchesRegex("\\{\"time\":\"[^\"]*\","
                                 "\"host\":\\{\"packets\":1,\"bytes\":2,\"drops\":3,\"fast\":4,"
                                 "\"slow\":5\\},"
                                 "\"vm\":\\{\"packets\":6,\"bytes\":7,\"drops\":8,\"fast\":9,"
                                 "\"slow\":10\\}\\}"));
}

TEST_F(StatsJson, TimeIsIso8601WithMillisecondsAndOffset) {
  auto matches = [](const std::string& time, const std::string& offset) {
    std::string date_and_time = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}";
    return std::regex_match(time, std::regex(date_and_time + offset));
  };
  EXPECT_TRUE(matches(time_in("UTC0"), "\\+00:00"));
  EXPECT_TRUE(matches(time_in("EAST-5:30"), "\\+05:30"));
  EXPECT_TRUE(matches(time_in("WEST3:30"), "-03:30"));
}

}  // namespace
}  // namespace vmnet
