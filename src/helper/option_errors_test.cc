// What the command line refuses, and that each message names the option and its value.
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "helper/options.h"
#include "helper/options_test_support.h"

namespace vmnet {
namespace {

using testing::StartsWith;

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
      {{"--socket"}, "--socket: needs a value, PATH"},
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
  expect_refused({{"--fd=3", "--socket-type", "tcp"}, "--socket-type 'tcp': not one of"});
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
  const Words networks = {
      "",    "a\nb", "a\x1b", "\xc3\xa9", std::string(256, 'n'), "-a", "a-", "-",
      "a.b", "a_b",  "a b",   "a/b",      std::string(64, 'n')};
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
      {{"--dns", "x"}, "--dns 'x': not an IPv4"},
  };
  for (const BadCase& bad : cases) {
    Words words = with_fd({"--network", "lab"});
    words.insert(words.end(), bad.words.begin(), bad.words.end());
    expect_refused({words, bad.named});
  }
}

TEST(OptionErrors, IpAddress) {
  for (const char* address : {"", "10.0.1", "010.0.0.1", "10.0.0.9/24", "192.0.2.9", "fd00::9"}) {
    expect_refused({with_fd({"--ip-address", address}), "--ip-address '"});
  }
  for (const char* address : {"10.0.0.0", "10.0.0.1", "10.0.0.255", "10.0.1.9"}) {
    expect_refused({with_fd({"--start-address=10.0.0.1", "--end-address=10.0.0.9",
                             "--subnet-mask=255.255.255.0", "--ip-address", address}),
                    "--ip-address '"});
    expect_refused(
        {with_fd({"--operation-mode=host", "--network-id", kUuid, "--host-ip-address=10.0.0.1",
                  "--host-subnet-mask=255.255.255.0", "--ip-address", address}),
         "--ip-address '"});
  }
  expect_refused(
      {with_fd({"--operation-mode=bridged", "--shared-interface=eth0", "--ip-address=10.0.0.9"}),
       "--ip-address '10.0.0.9': not possible in bridged mode"});
  expect_refused(
      {with_fd({"--operation-mode=host", "--network-id", kUuid, "--ip-address=10.0.0.9"}),
       "--ip-address '10.0.0.9': not possible with --network-id"});
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
      {{"--dns", "192.0.2.1"}, "--dns '192.0.2.1': not possible with --network-id"},
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

TEST(OptionErrors, TapAndWhatItExcludes) {
  expect_refused({{"--tap", "--socket", "/tmp/x"}, "--tap: not possible with --socket"});
  expect_refused(
      {with_fd({"--tap", "--stats-interval", "1"}), "--tap: not possible with --stats-interval"});
  expect_refused({with_fd({"--tap=yes"}), "--tap=yes: takes no value"});
  expect_refused({{"--tap"}, "the VM's socket is missing"});
}

TEST(OptionErrors, OfACapture) {
  expect_refused({with_fd({"--capture", ""}), "--capture '': the path is empty"});
  expect_refused({with_fd({"--capture", "x", "--tap"}), "--capture 'x': not possible with --tap"});
  expect_refused({with_fd({"--capture-size", "5"}), "--capture-size '5': only with --capture"});
  for (const char* size : {"0", "-1", "1k", "", "1000001", "4294967297"}) {
    expect_refused({with_fd({"--capture", "x", "--capture-size", size}), "--capture-size '"});
  }
}

}  // namespace
}  // namespace vmnet
