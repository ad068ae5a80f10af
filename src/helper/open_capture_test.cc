#include "helper/open_capture.h"

#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "forward/vm_socket_test_support.h"

namespace vmnet {
namespace {

using namespace testing;
using ::testing::HasSubstr;

class OpenCapture : public ::testing::Test {
 protected:
  Result<CaptureFile> open(const std::string& name) const {
    return open_capture_file(name, start_.get());
  }
  void expect_refused(const std::string& name, const std::string& reason) const {
    auto file = open(name);
    ASSERT_FALSE(file);
    EXPECT_THAT(file.error().message, HasSubstr("--capture '" + name + "'"));
    EXPECT_THAT(file.error().message, HasSubstr(reason));
  }

  TemporaryFolder folder_;
  UniqueFd start_{::open(folder_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
};

TEST_F(OpenCapture, MakesAFileOfTheUsersAloneUnderAnyUmask) {
  for (mode_t mask : {0U, 0777U}) {
    mode_t saved = ::umask(mask);
    auto file = open("new");
    EXPECT_EQ(::umask(saved), mask);
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_TRUE(file->made);
    struct stat status{};
    ASSERT_EQ(::stat((folder_ / "new").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode, S_IFREG | 0600U);
    discard_capture_file("new", start_.get(), *file);
    EXPECT_TRUE(folder_.is_empty());
  }
}

TEST_F(OpenCapture, TakesAnEmptyFileAndLeavesItThere) {
  std::ofstream(folder_ / "empty").close();
  auto file = open(folder_ / "empty");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_FALSE(file->made);
  discard_capture_file("empty", start_.get(), *file);
  EXPECT_FALSE(folder_.is_empty());
}

TEST_F(OpenCapture, DiscardsNothingThatHasSomethingInItOrIsAnothers) {
  auto file = open("new");
  ASSERT_TRUE(file);
  std::filesystem::rename(folder_ / "new", folder_ / "moved");
  std::ofstream(folder_ / "new").close();
  discard_capture_file("new", start_.get(), *file);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "new"));
  ASSERT_EQ(::write(file->fd.get(), "x", 1), 1);
  discard_capture_file("moved", start_.get(), *file);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "moved"));
}

TEST_F(OpenCapture, TakesAFifoThatIsReadAndWaitsForNoReader) {
  ASSERT_EQ(::mkfifo((folder_ / "fifo").c_str(), 0600), 0);
  expect_refused("fifo", "start the reader first");
  UniqueFd reader(::open((folder_ / "fifo").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  auto file = open("fifo");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_NE(::fcntl(file->fd.get(), F_GETFL) & O_NONBLOCK, 0);
}

TEST_F(OpenCapture, RefusesEverythingElse) {
  std::ofstream(folder_ / "full") << "x";
  std::filesystem::create_directory(folder_ / "folder");
  std::ofstream(folder_ / "target").close();
  std::filesystem::create_symlink("target", folder_ / "link");
  std::filesystem::create_symlink("nowhere", folder_ / "dangling");
  expect_refused("full", "something in it");
  expect_refused("folder", "cannot open it");
  expect_refused("link", "symbolic link");
  expect_refused("dangling", "symbolic link");
  expect_refused("missing/file", "cannot open it");
  expect_refused("/dev/null", "neither a file nor a FIFO");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "nowhere"));
}

}  // namespace
}  // namespace vmnet
