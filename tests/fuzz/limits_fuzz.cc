// The administrator's file. Holds that a refusal is one printable line that names a line of the
// text, and that what is accepted is within the bounds that vmnet-helper.conf(5) tells.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "expect.h"
#include "linux/host/limits.h"

using vmnet::fuzz::expect;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto limits = vmnet::parse_limits({reinterpret_cast<const char*>(data), size});
  if (!limits) {
    expect(limits.error().message.starts_with("line "));
    expect(limits.error().message.size() < 300);
    for (char c : limits.error().message) expect(c >= 0x20 && c < 0x7f);
    return 0;
  }
  expect(limits->largest_subnet >= 8 && limits->largest_subnet <= 30);
  expect(limits->networks_per_user <= 1000);
  for (const auto& subnet : limits->subnets.value_or(std::vector<vmnet::Ipv4Subnet>{})) {
    expect(vmnet::is_private(subnet.address) && vmnet::is_private(subnet.broadcast()));
    expect(subnet == vmnet::subnet_of(subnet.address, subnet.prefix_length));
  }
  for (const auto& name : limits->shared_interfaces.value_or(std::vector<std::string>{})) {
    expect(!name.empty() && name.size() <= 15 && name.find('/') == name.npos);
  }
  return 0;
}
