#include "helper/options.h"

#include <cstdlib>
#include <iterator>
#include <set>
#include <sstream>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "helper/option_reader.h"
#include "helper/options_test_support.h"
#include "helper/usage_text.h"

namespace vmnet {
namespace {

using testing::HasSubstr;

TEST(Options, DefaultsAreASharedNetworkWithAutomaticAddresses) {
  Options options = parsed({"--fd", "3"});
  EXPECT_EQ(options.action, Action::kRun);
  EXPECT_EQ(options.target.fd, 3);
  EXPECT_EQ(options.target.path, "");
  EXPECT_FALSE(options.verbose);
  EXPECT_FALSE(options.stats_interval);
  const NetworkConfig& network = options.network;
  EXPECT_EQ(network.mode, Mode::kShared);
  EXPECT_FALSE(network.interface_id);
  EXPECT_EQ(network.shared_interface, "");
  EXPECT_FALSE(network.addresses);
  EXPECT_FALSE(network.private_network);
  EXPECT_EQ(network.network_name, "");
  EXPECT_TRUE(network.dns_servers.empty());
  EXPECT_TRUE(network.dns_servers_ipv6.empty());
  EXPECT_FALSE(network.enable_tso);
  EXPECT_FALSE(network.enable_checksum_offload);
  EXPECT_FALSE(network.enable_isolation);
}

TEST(Options, EveryFormOfAnOptionIsTheSame) {
  const std::vector<Words> forms = {{"--fd", "7"}, {"--fd=7"},   {"-f", "7"}, {"-f7"},
                                    {"-vf7"},      {"-vf", "7"}, {"--f=7"},   {"--fd=7", "--"}};
  for (const Words& form : forms) {
    EXPECT_EQ(parsed(form).target.fd, 7) << testing::PrintToString(form);
  }
  EXPECT_TRUE(parsed({"-vf7"}).verbose);
  EXPECT_EQ(parsed({"-s/tmp/vm.sock"}).target.path, "/tmp/vm.sock");
  EXPECT_EQ(parsed({"--socket=vm.sock"}).target.path, "vm.sock");
  EXPECT_EQ(parsed({"--socket", "--"}).target.path, "--");
  EXPECT_EQ(parsed({"--socket=x"}).target.type, std::nullopt);
  EXPECT_EQ(parsed({"--socket=x", "--socket-type=stream"}).target.type, SocketType::kStream);
  EXPECT_EQ(parsed({"--fd=3", "--socket-type", "dgram"}).target.type, SocketType::kDatagram);
  EXPECT_EQ(parsed({"--op=host", "-f3"}).network.mode, Mode::kHost);
}

TEST(Options, EverythingSetArrives) {
  Options options = parsed({"--fd=3",
                            "--interface-id",
                            kUuid,
                            "--operation-mode",
                            "host",
                            "--start-address",
                            "192.168.105.1",
                            "--end-address",
                            "192.168.105.254",
                            "--subnet-mask",
                            "255.255.255.0",
                            "--enable-tso",
                            "--enable-checksum-offload",
                            "--enable-isolation",
                            "--dns",
                            "192.0.2.53",
                            "--dns=2001:db8::53",
                            "--dns",
                            "198.51.100.53",
                            "--stats-interval",
                            "10",
                            "--verbose"});
  EXPECT_TRUE(options.verbose);
  EXPECT_EQ(options.stats_interval, std::chrono::seconds(10));
  const NetworkConfig& network = options.network;
  EXPECT_EQ(network.mode, Mode::kHost);
  EXPECT_EQ(to_string(network.interface_id.value()), "2F8D5B1C-95A0-4A52-A1F2-0123456789AB");
  EXPECT_EQ(to_string(network.addresses.value().start), "192.168.105.1");
  EXPECT_EQ(to_string(network.addresses.value().end), "192.168.105.254");
  EXPECT_EQ(network.addresses.value().prefix_length, 24);
  EXPECT_TRUE(network.enable_tso);
  EXPECT_TRUE(network.enable_checksum_offload);
  EXPECT_TRUE(network.enable_isolation);
  ASSERT_EQ(network.dns_servers.size(), 2U);
  EXPECT_EQ(to_string(network.dns_servers[1]), "198.51.100.53");
  ASSERT_EQ(network.dns_servers_ipv6.size(), 1U);
  EXPECT_EQ(to_string(network.dns_servers_ipv6[0]), "2001:db8::53");
}

TEST(Options, TheLastOfARepeatedOptionCounts) {
  EXPECT_EQ(parsed({"--fd", "3", "-f4"}).target.fd, 4);
  EXPECT_EQ(parsed(with_fd({"--operation-mode=host", "--operation-mode=shared"})).network.mode,
            Mode::kShared);
}

TEST(Options, SharedInterfaceIsIgnoredOutsideBridgedMode) {
  EXPECT_EQ(parsed(with_fd({"--shared-interface", "en0"})).network.shared_interface, "");
  Options bridged =
      parsed(with_fd({"--operation-mode", "bridged", "--shared-interface", "enp0s31f6.4094"}));
  EXPECT_EQ(bridged.network.mode, Mode::kBridged);
  EXPECT_EQ(bridged.network.shared_interface, "enp0s31f6.4094");
}

TEST(Options, AddressesAreIgnoredInBridgedModeWithAWarning) {
  const Words bridged = with_fd({"--operation-mode=bridged", "--shared-interface=eth0"});
  EXPECT_TRUE(parsed(bridged).warnings.empty());
  const std::vector<Words> asked = {{"--start-address", "10.0.0.1"},
                                    {"--end-address", "10.0.0.9", "--start-address", "10.0.0.9"},
                                    {"--subnet-mask", "255.0.0.0"}};
  for (Platform platform : {Platform::kLinux, Platform::kMacos}) {
    for (const Words& addresses : asked) {
      Words words = bridged;
      words.insert(words.end(), addresses.begin(), addresses.end());
      Options options = parsed(words, platform);
      EXPECT_EQ(options.network.mode, Mode::kBridged);
      EXPECT_FALSE(options.network.addresses);
      EXPECT_EQ(options.network.unjudged_addresses, UnjudgedAddresses{});
      ASSERT_EQ(options.warnings.size(), 1U);
      for (size_t name = 0; name < addresses.size(); name += 2) {
        EXPECT_THAT(options.warnings[0], HasSubstr(addresses[name]));
      }
    }
  }
}

// vmnet judges them, so there is no order, no subnet and no completeness to check.
TEST(Options, MacosGetsAddressesAsGiven) {
  const std::vector<Words> sets = {
      addresses("10.0.0.9", "10.0.0.1", "255.255.255.0"),
      addresses("10.0.0.1", "10.0.0.255", "255.255.255.0"),
      addresses("10.0.0.1", "10.0.0.1", "255.0.255.0"),
      addresses("8.8.8.1", "9.9.9.9", "255.255.255.255"),
      with_fd({"--start-address", "10.0.0.1", "--end-address", "10.0.0.9"}),
      with_fd({"--subnet-mask", "255.255.255.0"}),
  };
  for (const Words& words : sets) {
    EXPECT_FALSE(parse(words, Platform::kLinux)) << testing::PrintToString(words);
    EXPECT_FALSE(parsed(words, Platform::kMacos).network.addresses);
  }
  UnjudgedAddresses given = parsed(sets[4], Platform::kMacos).network.unjudged_addresses;
  EXPECT_EQ(to_string(given.start.value()), "10.0.0.1");
  EXPECT_EQ(to_string(given.end.value()), "10.0.0.9");
  EXPECT_FALSE(given.mask);
  given = parsed(sets[2], Platform::kMacos).network.unjudged_addresses;
  EXPECT_EQ(to_string(given.mask.value()), "255.0.255.0");
  for (const char* text : {"", "10.1", "010.0.0.1", "10.0.0.1 ", "fd00::1"}) {
    EXPECT_FALSE(parse(with_fd({"--start-address", text}), Platform::kMacos)) << text;
    EXPECT_FALSE(parse(with_fd({"--subnet-mask", text}), Platform::kMacos)) << text;
  }
}

TEST(Options, NamedNetworkGoesWithInterfaceIdAndOffloads) {
  Options options =
      parsed(with_fd({"--network", "shared", "-i", kUuid, "--enable-tso", "--enable-isolation"}));
  EXPECT_EQ(options.network.network_name, "shared");
  EXPECT_EQ(parsed(with_fd({"--network", "lab", "--dns", "192.0.2.1"})).network.dns_servers.size(),
            1);
}

TEST(Options, IpAddressIsTheVms) {
  EXPECT_FALSE(parsed(with_fd({})).network.vm_address);
  EXPECT_EQ(parsed(with_fd({"--ip-address", "192.168.64.9"})).network.vm_address,
            parse_ipv4("192.168.64.9"));
  EXPECT_TRUE(parse(with_fd({"--network=lab", "--ip-address=192.168.70.9"})));
  EXPECT_TRUE(parse(with_fd({"--start-address=10.0.0.1", "--end-address=10.0.0.9",
                             "--subnet-mask=255.255.255.0", "--ip-address=10.0.0.254"})));
}

TEST(Options, NetworkNameIsADnsLabelOnLinux) {
  EXPECT_EQ(parsed(with_fd({"--network", "Lab-2"})).network.network_name, "lab-2");
  EXPECT_EQ(parsed(with_fd({"--network", "My net"}), Platform::kMacos).network.network_name,
            "My net");
  for (const std::string& name : {std::string(), std::string("\xc3\xa9"), std::string(256, 'n')}) {
    EXPECT_FALSE(parse(with_fd({"--network", name}), Platform::kMacos)) << name;
  }
}

TEST(Options, NetworkIdIsBareOrHasTheHostsAddress) {
  Options bare = parsed(with_fd({"--operation-mode", "host", "--network-id", kUuid}));
  ASSERT_TRUE(bare.network.private_network);
  EXPECT_FALSE(bare.network.private_network->addresses);
  EXPECT_FALSE(bare.network.addresses);

  Options with_host =
      parsed(with_fd({"--operation-mode", "host", "--network-id", kUuid, "--host-ip-address",
                      "10.1.2.1", "--host-subnet-mask", "255.255.255.252", "--dns", "192.0.2.53"}));
  ASSERT_TRUE(with_host.network.private_network);
  ASSERT_TRUE(with_host.network.private_network->addresses);
  EXPECT_EQ(to_string(with_host.network.private_network->addresses->start), "10.1.2.1");
  EXPECT_EQ(to_string(with_host.network.private_network->addresses->end), "10.1.2.2");
  EXPECT_EQ(with_host.network.private_network->addresses->prefix_length, 30);
}

TEST(Options, SubnetsOfEverySaneSize) {
  struct Case {
    const char *start, *end, *mask;
  };
  const std::vector<Case> cases = {
      {"192.168.64.1", "192.168.64.254", "255.255.255.0"},
      {"10.0.0.1", "10.255.255.254", "255.0.0.0"},
      {"172.16.0.1", "172.31.255.254", "255.240.0.0"},
      {"192.168.64.1", "192.168.64.2", "255.255.255.252"},
      {"192.168.64.250", "192.168.64.254", "255.255.255.0"},
  };
  for (const Case& c : cases) {
    EXPECT_TRUE(parsed(addresses(c.start, c.end, c.mask)).network.addresses) << c.start;
  }
}

TEST(Options, FdNumbersUpToTheLargestInt) {
  EXPECT_EQ(parsed({"--fd", "0"}).target.fd, 0);
  EXPECT_EQ(parsed({"--fd", "2147483647"}).target.fd, 2147483647);
}

TEST(Options, ActionsNeedNoSocket) {
  EXPECT_EQ(parsed({"--help"}).action, Action::kHelp);
  EXPECT_EQ(parsed({"-h"}).action, Action::kHelp);
  EXPECT_EQ(parsed({"--version"}).action, Action::kVersion);
  EXPECT_EQ(parsed({"--list-shared-interfaces"}).action, Action::kListSharedInterfaces);
  EXPECT_EQ(parsed({"--help", "--nonsense"}).action, Action::kHelp);
  EXPECT_EQ(parsed({"--list-shared-interfaces", "--help"}).action, Action::kHelp);
  EXPECT_EQ(parsed({"--list-shared-interfaces", "--operation-mode", "bridged"}).action,
            Action::kListSharedInterfaces);
}

TEST(Options, NoArgumentsAtAllIsAnError) {
  auto options = parse_options({});
  ASSERT_FALSE(options.has_value());
  EXPECT_THAT(options.error().message, HasSubstr("program's own name"));
}

// getopt_long keeps where it is, inside a bundle too, from one call to the next.
TEST(Options, ParsesAreIndependent) {
  EXPECT_FALSE(parse({"-vvvx", "--fd", "3", "--socket", "x"}));
  EXPECT_FALSE(parse({"--fd", "3", "-xv"}));
  EXPECT_EQ(parsed({"-h", "-v", "-v", "-v"}).action, Action::kHelp);
  EXPECT_EQ(parsed({"-f4"}).target.fd, 4);
  EXPECT_EQ(parsed({"-f4"}).target.fd, 4);
}

TEST(Options, TheEnvironmentChangesNothing) {
  for (const char* value : {"", "1"}) {
    ASSERT_EQ(setenv("POSIXLY_CORRECT", value, 1), 0);
    EXPECT_FALSE(parse({"stray", "--fd=3"}));
    EXPECT_FALSE(parse({"--fd=3", "stray", "--verbose"}));
    EXPECT_EQ(parsed({"--fd=3", "--verbose"}).target.fd, 3);
    unsetenv("POSIXLY_CORRECT");
  }
}

TEST(Options, AnotherPlatformsOptionIsRefused) {
  for (const Words& words :
       {Words{"--tap"}, Words{"--dns", "192.0.2.1"}, Words{"--ip-address", "192.168.64.9"}}) {
    EXPECT_TRUE(parse(with_fd(words), Platform::kLinux));
    auto refused = parse(with_fd(words), Platform::kMacos);
    ASSERT_FALSE(refused) << words[0];
    EXPECT_THAT(refused.error().message, testing::StartsWith(words[0]));
    EXPECT_THAT(refused.error().message, HasSubstr("not possible on macOS, only on Linux"));
  }
}

TEST(Options, TapHandsTheDeviceOver) {
  EXPECT_TRUE(parsed(with_fd({"--tap"})).network.hand_over_device);
  EXPECT_FALSE(parsed(with_fd({})).network.hand_over_device);
  EXPECT_TRUE(parsed(with_fd({"--tap", "--enable-tso", "--operation-mode=bridged",
                              "--shared-interface=eth0"}))
                  .network.hand_over_device);
}

TEST(OptionTable, ARowIsWholeAndUnlikeTheOthers) {
  std::set<int> ids;
  std::set<std::string> names;
  std::set<char> letters;
  std::vector<OptionSection> sections;
  for (const OptionSpec& spec : option_table()) {
    EXPECT_TRUE(ids.insert(static_cast<int>(spec.id)).second) << spec.name;
    EXPECT_TRUE(names.insert(spec.name).second) << spec.name;
    EXPECT_TRUE(spec.letter == 0 || letters.insert(spec.letter).second) << spec.name;
    EXPECT_EQ(spec.kind == ValueKind::kChoice, !std::string_view(spec.choices).empty());
    // What the quoting of no shell and no table understands otherwise.
    EXPECT_EQ(std::string_view(spec.summary).find_first_of("\"$`[]:\\|"), std::string_view::npos);
    EXPECT_EQ(std::string_view(spec.help).find_first_of("|[]\n"), std::string_view::npos);
    if (sections.empty() || sections.back() != spec.section) sections.push_back(spec.section);
  }
  std::set<OptionSection> different(sections.begin(), sections.end());
  EXPECT_EQ(different.size(), sections.size()) << "a section's rows are neighbours";
}

TEST(UsageText, EndsWithTwoExamplesThatAreValid) {
  std::string usage = helper_usage();
  usage.erase(0, usage.find("\nExamples:\n"));
  size_t examples = 0;
  for (size_t at = 0; (at = usage.find("    vmnet-helper ", at)) != std::string::npos; examples++) {
    size_t end = usage.find('\n', at);
    std::istringstream line(usage.substr(at, end - at));
    at = end;
    Words words{std::istream_iterator<std::string>(line), {}};
    words.erase(words.begin());
    EXPECT_TRUE(parse(words)) << testing::PrintToString(words);
  }
  EXPECT_EQ(examples, 2U);
}

TEST(UsageText, ExplainsEveryOptionWithItsValueAndDefault) {
  std::string usage = helper_usage();
  EXPECT_THAT(usage, HasSubstr("(default: shared)"));
  EXPECT_THAT(usage, HasSubstr("(Linux; default: off)"));
  EXPECT_THAT(usage, testing::Not(HasSubstr("`")));
  for (const OptionSpec& spec : option_table()) {
    std::string form = fmt::format("  {}{}--{}{}{}", spec.letter != 0 ? "-" : "    ",
                                   spec.letter != 0 ? std::string{spec.letter, ',', ' '} : "",
                                   spec.name, spec.value_name != nullptr ? " " : "",
                                   spec.value_name != nullptr ? spec.value_name : "");
    EXPECT_THAT(usage, HasSubstr(form));
  }
  for (size_t start = 0; start < usage.size();) {
    size_t end = usage.find('\n', start);
    ASSERT_NE(end, std::string::npos);
    EXPECT_LE(end - start, 80U) << usage.substr(start, end - start);
    start = end + 1;
  }
}

TEST(UsageText, VersionIsTwoLinesOfYaml) {
  EXPECT_THAT(version_text(),
              testing::MatchesRegex("version: v[0-9]+\\.[0-9]+\\.[0-9]+[-a-z0-9.]*\ncommit: "
                                    "([0-9a-f]+|unknown)\n"));
}

TEST(Options, CaptureHasAFileAndASize) {
  EXPECT_FALSE(parsed(with_fd({})).capture);
  auto options = parsed(with_fd({"--capture", "vm.pcapng"}));
  ASSERT_TRUE(options.capture);
  EXPECT_EQ(options.capture->path, "vm.pcapng");
  EXPECT_EQ(options.capture->max_bytes, 1'024'000'000U);
  options = parsed(with_fd({"--capture=x", "--capture-size=5"}));
  ASSERT_TRUE(options.capture);
  EXPECT_EQ(options.capture->max_bytes, 5'000'000U);
}

}  // namespace
}  // namespace vmnet
