// What the data path is to do for a VM, as both of its directions need to know it.
#pragma once

#include <cstddef>

namespace vmnet {

struct DataPathOptions {
  bool tso = false;               // the VM takes and sends frames of up to 65,550 bytes
  bool checksum_offload = false;  // it sends unfinished checksums
  bool engine = true;             // false: a frame in is a frame out, nothing is merged
  bool merge_udp = false;         // the host's end takes UDP segments too
  size_t mtu = 1500;              // of the VM's interface

  // The largest frames, without VLAN tags.
  size_t max_segment_frame() const { return mtu + 14; }
  size_t max_frame() const { return tso ? 65'550 : max_segment_frame(); }
  bool offload() const { return tso || checksum_offload; }
};

}  // namespace vmnet
