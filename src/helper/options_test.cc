#include "helper/options.h"

#include <cstdlib>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "helper/option_reader.h"
#include "helper/usage_text.h"

namespace vmnet {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

using Words = std::vector<std::string>;

Result<Options> parse(const Words& words) {
  std::vector<const char*> argv = {"vmnet-helper"};
  for (const std::string& word : words) argv.push_back(word.c_str());
  return parse_options(argv);
}

// A parse that must succeed; an empty Options where it did not.
Options parsed(const Words& words) {
  auto options = parse(words);
  EXPECT_TRUE(options.has_value()) << options.error().message;
  return options.value_or(Options{});
}

Words with_fd(Words words) {
  words.insert(words.begin(), {"--fd", "3"});
  return words;
}

Words addresses(const std::string& start, const std::string& end, const std::string& mask) {
  return with_fd({"--start-address", start, "--end-address", end, "--subnet-mask", mask});
}

constexpr const char* kUuid = "2f8d5b1c-95a0-4a52-a1f2-0123456789ab";

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

TEST(Options, NamedNetworkGoesWithInterfaceIdAndOffloads) {
  Options options =
      parsed(with_fd({"--network", "shared", "-i", kUuid, "--enable-tso", "--enable-isolation"}));
  EXPECT_EQ(options.network.network_name, "shared");
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

struct BadCase {
  Words words;
  std::string named;  // what the message must name, the option and its value
};

// Errors are one printable line that begins with the option and its value.
void expect_refused(const BadCase& bad) {
  auto options = parse(bad.words);
  ASSERT_FALSE(options.has_value()) << testing::PrintToString(bad.words);
  const std::string& message = options.error().message;
  EXPECT_THAT(message, StartsWith(bad.named));
  EXPECT_LT(message.size(), 400U) << message;
  for (char c : message) EXPECT_TRUE(c >= 0x20 && c < 0x7f) << message;
}

TEST(OptionErrors, TheCommandLineItself) {
  const std::vector<BadCase> cases = {
      {{"--fd"}, "--fd: needs a value, FD"},
      {{"-f"}, "-f: needs a value, FD"},
      {{"-vf"}, "-f: needs a value, FD"},
      {{"--sock"}, "--socket: needs a value, PATH"},
      {{"--fd=3", "--nonsense"}, "--nonsense: unknown option"},
      {{"--fd=3", "--nonsense=1"}, "--nonsense=1: unknown option"},
      {{"--fd=3", "--Verbose"}, "--Verbose: unknown option"},
      {{"--fd=3", "---"}, "---: unknown option"},
      {{"--fd=3", "--=3"}, "--=3: unknown option"},
      {{"--fd=3", "--\n"}, "--\\n: unknown option"},
      {{"--fd=3", "--" + std::string(100000, 'x')}, "--xxxx"},
      {{"--fd=3", "-x"}, "-x: unknown option"},
      {{"--fd=3", "-vx"}, "-x: unknown option"},
      {{"--fd=3", "-\xc3\xa9"}, "-\\xc3: unknown option"},
      {{"--fd=3", "-\x1b"}, "-\\x1b: unknown option"},
      {{"--fd=3", "-W", "x"}, "-W: unknown option"},
      {{"--fd=3", "-:"}, "-:: unknown option"},
      {{"--fd=3", "--ver"}, "--ver: ambiguous, could be --verbose, --version"},
      {{"--fd=3", "--enable"}, "--enable: ambiguous"},
      {{"--fd=3", "--host=10.0.0.1"}, "--host=10.0.0.1: ambiguous"},
      {{"--fd=3", "--verbose=yes"}, "--verbose=yes: takes no value"},
      {{"--fd=3", "--enable-t=1"}, "--enable-t=1: takes no value"},
      {{"--fd=3", "stray"}, "'stray': not an option"},
      {{"stray", "--fd=3"}, "'stray': not an option"},
      {{"--fd=3", "--", "--verbose"}, "'--verbose': not an option"},
      {{"--fd=3", "-"}, "'-': not an option"},
      {{"--fd=3", ""}, "'': not an option"},
      {{}, "the VM's socket is missing: give --fd FD or --socket PATH"},
      {{"--verbose"}, "the VM's socket is missing"},
      {{"--fd", "3", "--socket", "/tmp/x"}, "--fd '3' and --socket '/tmp/x': only one"},
      {{"-s", "/tmp/x", "-f3"}, "-f '3' and -s '/tmp/x': only one"},
  };
  for (const BadCase& bad : cases) expect_refused(bad);
}

TEST(OptionErrors, NumbersAreDecimalAndBounded) {
  const Words fds = {"",
                     "-1",
                     "+3",
                     " 3",
                     "3 ",
                     "3\n",
                     "0x3",
                     "03",
                     "3.0",
                     "1e1",
                     "x",
                     "³",
                     "3\t4",
                     "--",
                     "2147483648",
                     "4294967299",
                     "18446744073709551619",
                     std::string(5000, '9')};
  for (const std::string& fd : fds) expect_refused({{"--fd", fd}, "--fd '"});
  expect_refused({{"-f", "x"}, "-f 'x'"});
  const Words intervals = {"", "0", "-1", "1.5", "1s", " 1", "1\n", "01", "604801", "4294967296"};
  for (const std::string& interval : intervals) {
    expect_refused({with_fd({"--stats-interval", interval}), "--stats-interval '"});
  }
}

TEST(OptionErrors, Names) {
  expect_refused({{"--socket", ""}, "--socket ''"});
  const Words modes = {"", "Shared", "shared ", "bridge", "nat", "shared\n", "host,shared"};
  for (const std::string& mode : modes) {
    expect_refused({with_fd({"--operation-mode", mode}), "--operation-mode '"});
  }
  const Words interfaces = {
      "",     ".",   "..",         "sixteen-letters-", "a/b",   "en 0", "en0\n",
      "en%d", "a:b", "en\x1b[31m", "\xc3\xa9n0",       "en\t0", "\x7f", std::string(100000, 'e')};
  for (const std::string& name : interfaces) {
    expect_refused({with_fd({"--operation-mode=bridged", "--shared-interface", name}),
                    "--shared-interface '"});
    expect_refused({with_fd({"--shared-interface", name}), "--shared-interface '"});
  }
  const Words networks = {"", "a\nb", "a\x1b", "\xc3\xa9", std::string(256, 'n')};
  for (const std::string& name : networks) {
    expect_refused({with_fd({"--network", name}), "--network '"});
  }
}

TEST(OptionErrors, Uuids) {
  const Words uuids = {"",
                       "x",
                       "2f8d5b1c95a04a52a1f20123456789ab",
                       "{2f8d5b1c-95a0-4a52-a1f2-0123456789ab}",
                       "2f8d5b1c-95a0-4a52-a1f2-0123456789a",
                       "2f8d5b1c-95a0-4a52-a1f2-0123456789abc",
                       "2f8d5b1c-95a0-4a52-a1f2-0123456789ag",
                       "2f8d5b1c-95a0-4a52-a1f2_0123456789ab",
                       "2f8d5b1c-95a0-4a52-a1f2-0123456789a\n",
                       "2f8d5b1c-95a0-4a52-a1f2- 123456789ab",
                       "2f8d5b1c-95a0-4a52-a1f2-+123456789ab",
                       "2f8d5b1c-95a0-4a52-a1f2-0x23456789ab"};
  for (const std::string& uuid : uuids) {
    expect_refused({with_fd({"--interface-id", uuid}), "--interface-id '"});
    expect_refused({with_fd({"-i", uuid}), "-i '"});
    expect_refused({with_fd({"--operation-mode=host", "--network-id", uuid}), "--network-id '"});
  }
}

TEST(OptionErrors, AddressesAreStrictDottedQuads) {
  const Words bad = {"",
                     "10.1",
                     "10.0.0.1\n",
                     "10.0.0.1\nx",
                     "10.0.0.1 ",
                     " 10.0.0.1",
                     "10.0.0.01",
                     "0x0a.0.0.1",
                     "10.0.0.256",
                     "10.0.0",
                     "10.0.0.1.",
                     "10.0.0.1.1",
                     "10..0.1",
                     "167772161",
                     "10.0.0.-1",
                     "10.0.0.+1",
                     "a.b.c.d",
                     "10.0.0.1/24",
                     "::1",
                     "localhost",
                     "10.0.0.1\x1b[2J",
                     "１０.0.0.1",
                     "10.0.0.1;reboot",
                     "10.0.0.4294967297"};
  for (const std::string& text : bad) {
    expect_refused({addresses(text, "10.0.0.254", "255.255.255.0"), "--start-address '"});
    expect_refused({addresses("10.0.0.1", text, "255.255.255.0"), "--end-address '"});
    expect_refused({addresses("10.0.0.1", "10.0.0.254", text), "--subnet-mask '"});
    expect_refused({with_fd({"--operation-mode=host", "--network-id", kUuid, "--host-ip-address",
                             text, "--host-subnet-mask", "255.255.255.0"}),
                    "--host-ip-address '"});
    if (text != "::1") expect_refused({with_fd({"--dns", text}), "--dns '"});
  }
}

TEST(OptionErrors, AddressesMakeANetworkThatWorks) {
  const std::vector<BadCase> cases = {
      {addresses("8.8.8.8", "8.8.8.9", "255.255.255.0"), "--start-address '8.8.8.8'"},
      {addresses("127.0.0.1", "127.0.0.9", "255.255.255.0"), "--start-address '127.0.0.1'"},
      {addresses("172.32.0.1", "172.32.0.9", "255.255.255.0"), "--start-address '172.32.0.1'"},
      {addresses("169.254.1.1", "169.254.1.9", "255.255.255.0"), "--start-address '169.254.1.1'"},
      {addresses("100.64.0.1", "100.64.0.9", "255.255.255.0"), "--start-address '100.64.0.1'"},
      {addresses("192.168.64.1", "192.169.64.9", "255.255.0.0"), "--end-address '192.169.64.9'"},
      {addresses("10.0.0.2", "10.0.0.1", "255.255.255.0"), "--end-address '10.0.0.1'"},
      {addresses("10.0.0.2", "10.0.0.2", "255.255.255.0"), "--end-address '10.0.0.2'"},
      {addresses("10.0.0.1", "10.0.1.9", "255.255.255.0"), "--end-address '10.0.1.9'"},
      {addresses("10.0.0.0", "10.0.0.9", "255.255.255.0"), "--start-address '10.0.0.0'"},
      {addresses("10.0.0.1", "10.0.0.255", "255.255.255.0"), "--end-address '10.0.0.255'"},
      {addresses("10.0.0.1", "10.0.0.3", "255.255.255.252"), "--end-address '10.0.0.3'"},
      {addresses("10.0.0.1", "10.0.0.9", "255.0.255.0"), "--subnet-mask '255.0.255.0'"},
      {addresses("10.0.0.1", "10.0.0.9", "0.0.0.0"), "--subnet-mask '0.0.0.0'"},
      {addresses("10.0.0.1", "10.0.0.9", "254.0.0.0"), "--subnet-mask '254.0.0.0'"},
      {addresses("10.0.0.1", "10.0.0.2", "255.255.255.254"), "--subnet-mask '255.255.255.254'"},
      {addresses("10.0.0.1", "10.0.0.2", "255.255.255.255"), "--subnet-mask '255.255.255.255'"},
      {addresses("10.0.0.1", "10.0.0.2", "0.0.0.255"), "--subnet-mask '0.0.0.255'"},
      {addresses("192.168.1.1", "192.168.1.9", "255.0.0.0"), "--subnet-mask '255.0.0.0'"},
      {addresses("172.16.1.1", "172.16.1.9", "255.0.0.0"), "--subnet-mask '255.0.0.0'"},
      {with_fd({"--start-address", "10.0.0.1"}), "--start-address '10.0.0.1': --start-address, "},
      {with_fd({"--end-address=10.0.0.9", "--subnet-mask=255.255.255.0"}),
       "--end-address '10.0.0.9': --start-address, "},
      {with_fd({"--subnet-mask", "255.0.0.0"}), "--subnet-mask '255.0.0.0': --start-address, "},
  };
  for (const BadCase& bad : cases) expect_refused(bad);
}

TEST(OptionErrors, BridgedMode) {
  Words bridged = with_fd({"--operation-mode", "bridged"});
  expect_refused({bridged, "--operation-mode 'bridged': needs --shared-interface"});
  bridged.insert(bridged.end(), {"--shared-interface", "eth0"});
  const std::vector<BadCase> cases = {
      {{"--enable-isolation"}, "--enable-isolation: not possible in bridged mode"},
      {{"--start-address", "10.0.0.1"}, "--start-address '10.0.0.1': not possible in bridged"},
      {{"--end-address", "10.0.0.1"}, "--end-address '10.0.0.1': not possible in bridged"},
      {{"--subnet-mask", "255.0.0.0"}, "--subnet-mask '255.0.0.0': not possible in bridged"},
      {{"--dns", "192.0.2.1"}, "--dns '192.0.2.1': not possible in bridged"},
      {{"--network-id", kUuid}, "--network-id '2f8d5b1c-95a0-4a52-a1f2-0123456789ab': needs"},
      {{"--host-ip-address", "10.0.0.1"}, "--host-ip-address '10.0.0.1': needs --network-id"},
  };
  for (const BadCase& bad : cases) {
    Words words = bridged;
    words.insert(words.end(), bad.words.begin(), bad.words.end());
    expect_refused({words, bad.named});
  }
}

TEST(OptionErrors, NamedNetworkDecidesTheRest) {
  const std::vector<BadCase> cases = {
      {{"--operation-mode", "shared"}, "--operation-mode 'shared': not possible with --network"},
      {{"--shared-interface", "en0"}, "--shared-interface 'en0': not possible with --network"},
      {{"--start-address", "10.0.0.1"}, "--start-address '10.0.0.1': not possible with --network"},
      {{"--end-address", "10.0.0.1"}, "--end-address '10.0.0.1': not possible with --network"},
      {{"--subnet-mask", "255.0.0.0"}, "--subnet-mask '255.0.0.0': not possible with --network"},
      {{"--network-id", kUuid}, "--network-id '2f8d5b1c"},
      {{"--host-ip-address", "10.0.0.1"}, "--host-ip-address '10.0.0.1': not possible with"},
      {{"--host-subnet-mask", "255.0.0.0"}, "--host-subnet-mask '255.0.0.0': not possible with"},
      {{"--dns", "192.0.2.1"}, "--dns '192.0.2.1': not possible with --network"},
  };
  for (const BadCase& bad : cases) {
    Words words = with_fd({"--network", "lab"});
    words.insert(words.end(), bad.words.begin(), bad.words.end());
    expect_refused({words, bad.named});
  }
}

TEST(OptionErrors, NetworkId) {
  const std::string id_named = std::string("--network-id '") + kUuid + "': needs";
  expect_refused({with_fd({"--network-id", kUuid}), id_named});
  expect_refused({with_fd({"--host-ip-address", "10.0.0.1"}), "--host-ip-address '10.0.0.1'"});
  expect_refused({with_fd({"--host-subnet-mask", "255.0.0.0"}), "--host-subnet-mask '255.0.0.0'"});
  const std::vector<BadCase> cases = {
      {{"--host-ip-address", "10.0.0.1"}, "--host-ip-address '10.0.0.1': --host-ip-address and"},
      {{"--host-subnet-mask", "255.0.0.0"}, "--host-subnet-mask '255.0.0.0': --host-ip-address"},
      {{"--host-ip-address=8.8.8.8", "--host-subnet-mask=255.0.0.0"},
       "--host-ip-address '8.8.8.8'"},
      {{"--host-ip-address=10.0.0.0", "--host-subnet-mask=255.0.0.0"},
       "--host-ip-address '10.0.0.0'"},
      {{"--host-ip-address=10.0.0.254", "--host-subnet-mask=255.255.255.0"},
       "--host-ip-address '10.0.0.254': the last"},
      {{"--host-ip-address=10.0.0.255", "--host-subnet-mask=255.255.255.0"},
       "--host-ip-address '10.0.0.255'"},
      {{"--host-ip-address=10.0.0.1", "--host-subnet-mask=255.0.255.0"},
       "--host-subnet-mask '255.0.255.0'"},
      {{"--start-address", "10.0.0.1"}, "--start-address '10.0.0.1': not possible with"},
      {{"--dns", "192.0.2.1"}, "--dns '192.0.2.1'"},
  };
  for (const BadCase& bad : cases) {
    Words words = with_fd({"--operation-mode", "host", "--network-id", kUuid});
    words.insert(words.end(), bad.words.begin(), bad.words.end());
    expect_refused({words, bad.named});
  }
}

TEST(OptionErrors, DnsServers) {
  const Words bad = {
      "0.0.0.0",       "127.0.0.53",     "224.0.0.1",      "255.255.255.255", "::",
      "::1",           "ff02::1",        "fe80::1%eth0",   "dns.example",     "1.1.1.1,8.8.8.8",
      "2001:db8::53 ", "2001:db8::53\n", "[2001:db8::53]", "2001:db8::g"};
  for (const std::string& server : bad) expect_refused({with_fd({"--dns", server}), "--dns '"});
  Words many;
  for (int i = 1; i <= 8; i++) many.insert(many.end(), {"--dns", "192.0.2." + std::to_string(i)});
  EXPECT_EQ(parsed(with_fd(many)).network.dns_servers.size(), 8U);
  many.insert(many.end(), {"--dns", "192.0.2.9"});
  expect_refused({with_fd(many), "--dns '192.0.2.9': more than 8"});
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

TEST(Options, TapHandsTheDeviceOver) {
  EXPECT_TRUE(parsed(with_fd({"--tap"})).network.hand_over_device);
  EXPECT_FALSE(parsed(with_fd({})).network.hand_over_device);
  EXPECT_TRUE(parsed(with_fd({"--tap", "--enable-tso", "--operation-mode=bridged",
                              "--shared-interface=eth0"}))
                  .network.hand_over_device);
  expect_refused({{"--tap", "--socket", "/tmp/x"}, "--tap: not possible with --socket"});
  expect_refused(
      {with_fd({"--tap", "--stats-interval", "1"}), "--tap: not possible with --stats-interval"});
  expect_refused({with_fd({"--tap=yes"}), "--tap=yes: takes no value"});
  expect_refused({{"--tap"}, "the VM's socket is missing"});
}

TEST(UsageText, ExplainsEveryOptionWithItsValue) {
  std::string usage = helper_usage();
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

}  // namespace
}  // namespace vmnet
