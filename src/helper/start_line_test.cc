#include "helper/start_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "helper/options_test_support.h"
#include "helper/version.h"

namespace vmnet {
namespace {

using ::testing::HasSubstr;

Description described() {
  Description description;
  description.addresses = AddressRange{.start = parse_ipv4("192.168.64.1").value(),
                                       .end = parse_ipv4("192.168.64.254").value(),
                                       .prefix_length = 24};
  description.host_interface = "vmnet-tap0";
  return description;
}

TEST(StartLine, NamesEverythingThatCountsLater) {
  EXPECT_EQ(
      start_line(parsed(with_fd({})), described(), 1000),
      "started: version " + std::string(kVersion) +
          ", mode shared, network 192.168.64.0/24, user 1000, device vmnet-tap0, peer --fd 3");
}

TEST(StartLine, OfOtherNetworks) {
  auto bridged = parsed(with_fd({"--operation-mode=bridged", "--shared-interface=br0"}));
  EXPECT_THAT(start_line(bridged, {}, 0), HasSubstr("mode bridged, network br0, user 0"));
  auto apart = parsed(with_fd({"--operation-mode=host", "--network-id", kUuid}));
  EXPECT_THAT(start_line(apart, {}, 0),
              HasSubstr("mode host, network 2F8D5B1C-95A0-4A52-A1F2-0123456789AB"));
  auto named = parsed(with_fd({"--network=lab"}), Platform::kMacos);
  EXPECT_THAT(start_line(named, {}, 501), HasSubstr("network 'lab', user 501, device of vmnet"));
}

TEST(StartLine, APathIsEscaped) {
  EXPECT_THAT(start_line(parsed({"--socket=a\nb"}), described(), 0),
              HasSubstr("peer --socket 'a\\nb'"));
}

}  // namespace
}  // namespace vmnet
