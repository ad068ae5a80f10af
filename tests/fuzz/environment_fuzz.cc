// What the helper reads of its surroundings, as root: the ids in the environment, resolv.conf, the
// aliases of devices. The input's first byte chooses; holds that only strict numbers are ids and
// that an alias says after writing what it said before.
#include <algorithm>
#include <string>
#include <string_view>

#include <unistd.h>

#include "expect.h"
#include "linux/host/dns_servers.h"
#include "linux/host/network_record.h"
#include "platform/real_user.h"

using vmnet::fuzz::expect;

namespace {

void ids(std::string_view text) {
  size_t middle = std::min(text.find('\0'), text.size());
  std::string uid(text.substr(0, middle));
  std::string gid(text.substr(std::min(middle + 1, text.size())));
  gid.resize(std::min(gid.find('\0'), gid.size()));
  auto user = vmnet::find_real_user({.uid = uid.c_str(), .gid = gid.c_str()});
  if (!user) {
    expect(!user.error().message.empty());
    return;
  }
  expect(user->uid != static_cast<uid_t>(-1) && user->gid != static_cast<gid_t>(-1));
  if (getuid() == 0) expect(uid == std::to_string(user->uid) && gid == std::to_string(user->gid));
}

void resolv_conf(std::string_view text) {
  vmnet::DnsServers servers = vmnet::parse_resolv_conf(text);
  for (vmnet::Ipv4 address : servers.ipv4) expect((address.value >> 24) != 127);
}

void network_alias(std::string_view text) {
  auto record = vmnet::parse_network_record({.alias = std::string(text)});
  if (record) expect(vmnet::parse_network_record({.alias = vmnet::to_alias(*record)}) == record);
}

void setting_note(std::string_view text) {
  vmnet::Link bridge{.alias = "vmnet-helper shared", .alternative_names = {std::string(text)}};
  auto record = vmnet::parse_network_record(bridge);
  if (record->old_settings.empty()) return;
  bridge.alternative_names = {vmnet::to_note("vmnet-shared0", record->old_settings[0])};
  expect(vmnet::parse_network_record(bridge) == record);
}

void vm_alias(std::string_view text) {
  auto record = vmnet::parse_vm_alias(text);
  if (record) expect(vmnet::parse_vm_alias(vmnet::to_alias(*record)) == record);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 5) {
    case 0:
      ids(text);
      break;
    case 1:
      resolv_conf(text);
      break;
    case 2:
      network_alias(text);
      break;
    case 3:
      setting_note(text);
      break;
    default:
      vm_alias(text);
  }
  return 0;
}
