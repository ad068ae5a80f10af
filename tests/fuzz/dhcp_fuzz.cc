// DHCP: any frame gets a well-formed reply with right checksums, or none; and the services in front
// of it never let a request or a server's message pass.
#include <vector>

#include "expect.h"
#include "frame_mutator.h"
#include "wire/dhcp.h"

using vmnet::fuzz::expect;

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  return vmnet::fuzz::mutate_frame(data, size, max_size, seed, 0);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const vmnet::Ipv4 gateway{0xc0a84001};
  static vmnet::DhcpServer server({.gateway = gateway,
                                   .gateway_mac = {{0x0e, 0x76, 0x6d, 0, 0, 1}},
                                   .subnet = vmnet::subnet_of(gateway, 24),
                                   .address = {0xc0a84002},
                                   .router = gateway,
                                   .dns_servers = {{0x01010101}, {0x08080808}}});
  std::vector<uint8_t> out(vmnet::DhcpServer::kMaxReply);
  auto reply = server.reply({data, size}, out);
  if (!reply) return 0;
  expect(*reply >= 14 + 28 + 300 && *reply <= out.size());
  out.resize(*reply);
  expect(vmnet::fuzz::checksums_are_right(out));
  size_t message = vmnet::read_ethernet(out)->size + 28;
  expect(out[message] == 2);
  // Options end inside the message.
  size_t at = message + 240;
  while (at < out.size() && out[at] != 255) at += 2 + out[at + 1];
  expect(at < out.size());
  return 0;
}
