#include "run/helper_line.h"

#include <array>
#include <string_view>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace vmnet {
namespace {

class HelperLineTest : public testing::Test {
 protected:
  void SetUp() override {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe(ends.data()), 0);
    ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    line_ = HelperLine(UniqueFd(ends[0]));
    writer_ = UniqueFd(ends[1]);
  }

  void send(std::string_view text) {
    ASSERT_EQ(::write(writer_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    line_.read_more();
  }

  HelperLine line_{UniqueFd()};
  UniqueFd writer_;
};

TEST_F(HelperLineTest, ComesInPieces) {
  line_.read_more();
  EXPECT_FALSE(line_.complete() || line_.failed());
  send("{\"a\":");
  EXPECT_FALSE(line_.complete() || line_.failed());
  send(" 1}\n");
  EXPECT_TRUE(line_.complete());
  EXPECT_FALSE(line_.failed());
}

TEST_F(HelperLineTest, PrintsTheLineAndNotWhatFollows) {
  send("{}\nmore\n");
  ASSERT_TRUE(line_.complete());
  testing::internal::CaptureStdout();
  while (!line_.printed()) ASSERT_TRUE(line_.print_some());
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "{}\n");
}

TEST_F(HelperLineTest, EndsEarly) {
  send("{\"half\":");
  writer_.reset();
  line_.read_more();
  EXPECT_TRUE(line_.failed());
  EXPECT_FALSE(line_.complete());
}

TEST_F(HelperLineTest, NeverEnds) {
  std::string chunk(16384, 'x');
  for (int i = 0; i < 5; i++) send(chunk);
  EXPECT_TRUE(line_.failed());
}

}  // namespace
}  // namespace vmnet
