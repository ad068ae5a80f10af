#include "base/log.h"

#include <array>
#include <string>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/journal.h"
#include "base/unique_fd.h"

namespace vmnet {
namespace {

TEST(Escaped, PrintableTextStaysAsItIs) {
  EXPECT_EQ(escaped(""), "");
  EXPECT_EQ(escaped("a 'b' \"c\" \\ ~"), "a 'b' \"c\" \\ ~");
}

TEST(Escaped, WhatCouldForgeALine) {
  EXPECT_EQ(escaped("a\nERROR [x] y"), "a\\nERROR [x] y");
  EXPECT_EQ(escaped("\r\t"), "\\r\\t");
  EXPECT_EQ(escaped("\x1b[31m\x07\x7f"), "\\x1b[31m\\x07\\x7f");
  EXPECT_EQ(escaped(std::string_view("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(escaped("\xc3\xa9\xff"), "\\xc3\\xa9\\xff");
}

TEST(Escaped, LongTextIsCut) {
  EXPECT_EQ(escaped("abcd", 4), "abcd");
  EXPECT_EQ(escaped("abcde", 4), "abcd...");
  EXPECT_EQ(escaped(std::string(1000000, 'x')).size(), 515U);
  EXPECT_LE(escaped(std::string(1000000, '\n'), 100).size(), 103U);
  EXPECT_LE(escaped(std::string(1000000, '\x01'), 99).size(), 105U);
}

// What `action` writes to standard error.
template <typename Action>
std::string stderr_of(Action action) {
  testing::internal::CaptureStderr();
  action();
  return testing::internal::GetCapturedStderr();
}

TEST(Log, TellsTheJournalPrioritiesAndNobodyElse) {
  auto write_all = [] {
    log_info("tap", "one");
    log_warn("tap", "two");
    log_error("tap", "three");
  };
  const char* plain = "INFO  [tap] one\nWARN  [tap] two\nERROR [tap] three\n";
  for (const char* other : {static_cast<const char*>(nullptr), "", "1:2", "x"}) {
    EXPECT_EQ(stderr_of([&] {
                tell_journal_priorities(other);
                write_all();
              }),
              plain);
  }
  EXPECT_EQ(stderr_of([&] {
              struct stat status{};
              ASSERT_EQ(::fstat(STDERR_FILENO, &status), 0);
              auto stream = fmt::format("{}:{}", status.st_dev, status.st_ino);
              tell_journal_priorities(stream.c_str());
              write_all();
            }),
            "<6>INFO  [tap] one\n<4>WARN  [tap] two\n<3>ERROR [tap] three\n");
  tell_journal_priorities(nullptr);
  EXPECT_EQ(stderr_of(write_all), plain);
}

TEST(Log, HeldLinesComeWhenTheLastHolderReleases) {
  EXPECT_EQ(stderr_of([] {
              hold_log();
              hold_log();
              log_warn("tap", "one");
              release_log();
              log_warn("tap", "two");
            }),
            "");
  EXPECT_EQ(stderr_of([] {
              release_log();
              log_warn("tap", "three");
            }),
            "WARN  [tap] one\nWARN  [tap] two\nWARN  [tap] three\n");
}

TEST(Log, LevelsArePaddedToFive) {
  EXPECT_EQ(stderr_of([] { log_info("dhcp", "lease {}", 7); }), "INFO  [dhcp] lease 7\n");
  EXPECT_EQ(stderr_of([] { log_warn("tap", "slow"); }), "WARN  [tap] slow\n");
  EXPECT_EQ(stderr_of([] { log_error("options", "{}", "a\nb"); }), "ERROR [options] a\\nb\n");
}

TEST(Log, LinesStayUnderPipeBuf) {
  std::string line = stderr_of([] { log_error("x", "{}", std::string(100000, '\x01')); });
  EXPECT_LT(line.size(), 4096U);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
}

// Last in this file: debug lines stay on once enabled.
TEST(Log, DebugLinesOnlyWhenEnabled) {
  EXPECT_EQ(stderr_of([] { log_debug("x", "hidden"); }), "");
  enable_debug_log();
  EXPECT_EQ(stderr_of([] { log_debug("x", "seen {}", 1); }), "DEBUG [x] seen 1\n");
}

// A reader that does not keep up costs lines, never time.
TEST(Log, AFullPipeLosesTheLine) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  ASSERT_EQ(::fcntl(writer.get(), F_SETFL, O_NONBLOCK), 0);
  std::string chunk(4096, 'x');
  while (::write(writer.get(), chunk.data(), chunk.size()) > 0) {
  }
  ASSERT_EQ(::fcntl(writer.get(), F_SETFL, 0), 0);
  UniqueFd former(::dup(STDERR_FILENO));
  ::dup2(writer.get(), STDERR_FILENO);
  log_error("x", "would block");
  ::dup2(former.get(), STDERR_FILENO);
  ::fcntl(reader.get(), F_SETFL, O_NONBLOCK);
  std::string held;
  for (ssize_t length = 0; (length = ::read(reader.get(), chunk.data(), chunk.size())) > 0;) {
    held.append(chunk, 0, static_cast<size_t>(length));
  }
  EXPECT_EQ(held.find_first_not_of('x'), std::string::npos);
}

}  // namespace
}  // namespace vmnet
