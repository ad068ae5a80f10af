// Router advertisements and the services of the data path.
#include <vector>

#include "expect.h"
#include "forward/local_services.h"
#include "frame_mutator.h"

using vmnet::fuzz::expect;

namespace {

class CheckingSink : public vmnet::FrameSink {
 public:
  void send(std::span<const uint8_t> frame) override {
    expect(frame.size() >= 60 && frame.size() <= 1514);
    expect(vmnet::fuzz::checksums_are_right(frame));
  }
};

vmnet::LocalServicesConfig config() {
  vmnet::Ipv6 link_local{{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
  vmnet::LocalServicesConfig config;
  config.router_advert = {.prefix = {{0xfd, 1}},
                          .gateway_link_local = link_local,
                          .gateway_mac = {{0x0e, 0x76, 0x6d, 0, 0, 1}},
                          .dns_servers = {link_local}};
  return config;
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  return vmnet::fuzz::mutate_frame(data, size, max_size, seed, 0);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static auto services = vmnet::make_local_services(config());
  CheckingSink sink;
  bool consumed = services->handle({data, size}, sink);
  // Neighbour advertisements and what follows are not a router's; 134 and 137 are.
  bool plain_icmpv6 = size > 54 && data[12] == 0x86 && data[13] == 0xdd && data[20] == 58;
  if (plain_icmpv6) expect(consumed == (data[54] == 133 || data[54] == 134 || data[54] == 137));
  return 0;
}
