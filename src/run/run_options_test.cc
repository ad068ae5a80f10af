#include "run/run_options.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vmnet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

using Words = std::vector<std::string>;

Result<RunOptions> parse(const Words& words) {
  std::vector<const char*> argv = {"vmnet-run"};
  for (const std::string& word : words) argv.push_back(word.c_str());
  return parse_run_options(argv);
}

RunOptions parsed(const Words& words) {
  auto options = parse(words);
  EXPECT_TRUE(options.has_value()) << options.error().message;
  return options.value_or(RunOptions{});
}

TEST(RunOptions, SplitsAtTheFirstDashes) {
  RunOptions options = parsed({"--", "qemu"});
  EXPECT_EQ(options.action, Action::kRun);
  EXPECT_THAT(options.helper_arguments, IsEmpty());
  EXPECT_THAT(options.command, ElementsAre("qemu"));

  options = parsed({"-v", "--operation-mode", "host", "--", "sh", "-c", "--fd", "--", "-f3"});
  EXPECT_THAT(options.helper_arguments, ElementsAre("-v", "--operation-mode", "host"));
  EXPECT_THAT(options.command, ElementsAre("sh", "-c", "--fd", "--", "-f3"));
}

TEST(RunOptions, TheFirstWordThatIsNoOptionAndNoValueIsTheCommand) {
  RunOptions options = parsed({"qemu"});
  EXPECT_THAT(options.helper_arguments, IsEmpty());
  EXPECT_THAT(options.command, ElementsAre("qemu"));

  options = parsed({"-v", "--operation-mode", "host", "sh", "-c", "--fd", "-f3", "--tap"});
  EXPECT_THAT(options.helper_arguments, ElementsAre("-v", "--operation-mode", "host"));
  EXPECT_THAT(options.command, ElementsAre("sh", "-c", "--fd", "-f3", "--tap"));
  EXPECT_FALSE(options.tap);

  options = parsed({"--shared-interface", "--", "qemu", "-m1G"});
  EXPECT_THAT(options.helper_arguments, ElementsAre("--shared-interface", "--"));
  EXPECT_THAT(options.command, ElementsAre("qemu", "-m1G"));
  EXPECT_THAT(parsed({"ssh", "host", "--", "ls"}).command, ElementsAre("ssh", "host", "--", "ls"));
  EXPECT_THAT(parsed({"sh", "-c", "x", "--"}).command, ElementsAre("sh", "-c", "x", "--"));
  EXPECT_THAT(parsed({"-v", "sh", "--"}).command, ElementsAre("sh", "--"));
  EXPECT_THAT(parsed({"--shared-interface=--", "-"}).command, ElementsAre("-"));
}

TEST(RunOptions, TapIsForBothPrograms) {
  RunOptions options = parsed({"--tap", "--", "qemu"});
  EXPECT_TRUE(options.tap);
  EXPECT_THAT(options.helper_arguments, ElementsAre("--tap"));
  EXPECT_TRUE(parsed({"--ta", "--", "qemu"}).tap);
  EXPECT_FALSE(parsed({"--", "qemu", "--tap"}).tap);
}

TEST(RunOptions, TheSocketTypeIsForBothPrograms) {
  RunOptions options = parsed({"--socket-type=stream", "--", "qemu"});
  EXPECT_EQ(options.socket_type, SocketType::kStream);
  EXPECT_THAT(options.helper_arguments, ElementsAre("--socket-type=stream"));
  EXPECT_EQ(parsed({"qemu"}).socket_type, SocketType::kDatagram);
}

TEST(RunOptions, DashesThatAreAValueDoNotSplit) {
  auto options = parse({"--shared-interface", "--", "--", "qemu"});
  ASSERT_TRUE(options.has_value()) << options.error().message;
  EXPECT_THAT(options->helper_arguments, ElementsAre("--shared-interface", "--"));
  EXPECT_THAT(options->command, ElementsAre("qemu"));
  EXPECT_FALSE(parse({"--shared-interface", "--"}));
}

TEST(RunOptions, HelpAndVersionNeedNoCommand) {
  EXPECT_EQ(parsed({"--help"}).action, Action::kHelp);
  EXPECT_EQ(parsed({"-h", "--", "qemu"}).action, Action::kHelp);
  EXPECT_EQ(parsed({"--version"}).action, Action::kVersion);
  EXPECT_EQ(parsed({"--", "--help"}).action, Action::kRun);
}

struct BadCase {
  Words words;
  std::string named;
};

TEST(RunOptions, Refusals) {
  const std::vector<BadCase> cases = {
      {{}, "COMMAND is missing"},
      {{"--"}, "COMMAND is missing"},
      {{"-v", "--"}, "COMMAND is missing"},
      {{"-v", "--dns", "192.0.2.1"}, "COMMAND is missing"},
      {{""}, "'': COMMAND has no name"},
      {{"-v", "qemu", "--", "x"}, "'qemu': neither an option nor"},
      {{"--enable-tso", "yes", "-v", "--", "qemu"}, "'yes': neither an option nor"},
      {{"--", ""}, "'': COMMAND has no name"},
      {{"--fd", "3", "--", "x"}, "--fd '3': not an option of vmnet-run"},
      {{"--fd=3", "--", "x"}, "--fd '3'"},
      {{"-f3", "--", "x"}, "-f '3'"},
      {{"-vf3", "--", "x"}, "-f '3'"},
      {{"--socket", "/a\nb", "--", "x"}, "--socket '/a\\nb'"},
      {{"-s", "/a", "--", "x"}, "-s '/a'"},
      {{"--list", "--", "x"}, "--list-shared-interfaces: not an option of vmnet-run"},
      {{"--nonsense", "--", "x"}, "--nonsense: unknown"},
      {{"--start-address", "10.0.0.1", "--", "x"}, "--start-address '10.0.0.1'"},
      {{"--stats-interval=0", "--", "x"}, "--stats-interval '0'"},
  };
  for (const BadCase& bad : cases) {
    auto options = parse(bad.words);
    ASSERT_FALSE(options.has_value()) << testing::PrintToString(bad.words);
    EXPECT_THAT(options.error().message, StartsWith(bad.named));
    EXPECT_THAT(options.error().message, Not(HasSubstr("\n")));
  }
  EXPECT_FALSE(parse_run_options({}));
}

TEST(RunUsage, ExplainsWhatItTakesAndNothingElse) {
  std::string usage = run_usage();
  EXPECT_THAT(usage, StartsWith("Usage: vmnet-run [OPTION]... [--] COMMAND [ARG]...\n"));
  for (const char* option : {"--dns ADDR", "-v, --verbose", "-h, --help", "--version"}) {
    EXPECT_THAT(usage, HasSubstr(option));
  }
  for (const char* option : {"--fd ", "--socket ", "--list-shared"}) {
    EXPECT_THAT(usage, Not(HasSubstr(option)));
  }
  size_t examples = usage.find("\nExamples:\n");
  ASSERT_NE(examples, std::string::npos);
  EXPECT_NE(usage.find("\n  vmnet-run -- ", examples), std::string::npos);
  EXPECT_NE(usage.find("\n  vmnet-run --tap -- ", examples), std::string::npos);
}

}  // namespace
}  // namespace vmnet
