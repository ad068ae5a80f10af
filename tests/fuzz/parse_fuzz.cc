// Headers: what a read returns lies inside the bytes it was given.
#include "expect.h"
#include "frame_mutator.h"
#include "wire/checksum.h"
#include "wire/headers.h"
#include "wire/path_mtu.h"

using vmnet::Bytes;
using vmnet::fuzz::expect;

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  return vmnet::fuzz::mutate_frame(data, size, max_size, seed, 0);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Bytes frame(data, size);
  auto ethernet = vmnet::read_ethernet(frame);
  expect(ethernet.has_value() == (size >= 14));
  if (ethernet) {
    expect(ethernet->size <= size);
    Bytes packet = frame.subspan(ethernet->size);
    if (auto ip = vmnet::read_ipv4(packet)) {
      expect(ip->size <= ip->total_length && ip->total_length <= packet.size());
    }
    if (auto ip = vmnet::read_ipv6(packet)) expect(ip->payload_length + 40U <= packet.size());
  }
  if (auto tcp = vmnet::read_tcp(frame)) expect(tcp->size <= size);
  if (auto udp = vmnet::read_udp(frame)) expect(udp->length <= size);
  if (auto layout = vmnet::find_transport(frame)) {
    expect(14 <= layout->ip && layout->ip + 20 <= layout->transport);
    expect(layout->transport + 8 <= layout->payload && layout->payload <= layout->end);
    expect(layout->end <= size);
    vmnet::pseudo_sum_of(frame, *layout, layout->end - layout->transport);
  }
  vmnet::PathMtus paths;
  paths.learn(frame);
  size_t mtu = paths.mtu_for(frame, 1500);
  expect(mtu >= 552 && mtu <= 1500);
  return 0;
}
