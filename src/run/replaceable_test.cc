#include "run/replaceable.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vmnet {
namespace {

using ::testing::HasSubstr;
using ::testing::Optional;

PathPart folder(mode_t mode, uid_t owner = 0) {
  return {
      .path = "/opt/vmnet-helper/bin", .owner = owner, .mode = static_cast<mode_t>(S_IFDIR | mode)};
}

TEST(ReplaceableByOthers, NotWhereOnlyRootMayWrite) {
  PathPart helper{
      .path = "/opt/vmnet-helper/bin/vmnet-helper", .owner = 0, .mode = S_IFREG | 04755};
  EXPECT_EQ(replaceable_by_others({helper, folder(0755), folder(0700)}), std::nullopt);
  EXPECT_EQ(replaceable_by_others({}), std::nullopt);
}

TEST(ReplaceableByOthers, AFolderForAGroupOrForAll) {
  for (mode_t mode : std::initializer_list<mode_t>{0775, 0757, 0777}) {
    EXPECT_THAT(replaceable_by_others({folder(mode)}),
                Optional(HasSubstr("/opt/vmnet-helper/bin may be written to by others")));
  }
}

TEST(ReplaceableByOthers, AFolderOfAnotherUser) {
  EXPECT_THAT(replaceable_by_others({folder(0755), folder(0755, 1000)}),
              Optional(HasSubstr("belongs to user 1000")));
}

TEST(ReplaceableByOthers, TheFileItself) {
  PathPart helper{.path = "/x/vmnet-helper", .owner = 0, .mode = S_IFREG | S_ISVTX | 0775};
  EXPECT_THAT(replaceable_by_others({helper}), Optional(HasSubstr("/x/vmnet-helper may be")))
      << "the sticky bit of a file means nothing";
}

TEST(ReplaceableByOthers, AStickyFolderKeepsWhatRootOwns) {
  EXPECT_EQ(replaceable_by_others({folder(01777)}), std::nullopt);
  EXPECT_NE(replaceable_by_others({folder(01777, 1000)}), std::nullopt);
}

TEST(ReplaceableByOthers, AnOwnerOutsideTheUserNamespaceIsNotBlamed) {
  EXPECT_EQ(replaceable_by_others({folder(0755, 65534)}), std::nullopt);
  EXPECT_NE(replaceable_by_others({folder(0777, 65534)}), std::nullopt);
}

TEST(PathParts, TheFileAndAllFoldersAboveIt) {
  auto parts = path_parts("/usr/../usr/bin/env");
  ASSERT_GE(parts.size(), 3U);
  EXPECT_EQ(parts.front().path, std::filesystem::canonical("/usr/bin/env"));
  EXPECT_TRUE(S_ISREG(parts.front().mode));
  EXPECT_EQ(parts.back().path, "/");
  EXPECT_TRUE(S_ISDIR(parts.back().mode));
  EXPECT_TRUE(path_parts("/nonexistent/x").empty());
}

}  // namespace
}  // namespace vmnet
