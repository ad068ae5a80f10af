// How frames are turned between the VM and the host's end.
#pragma once

namespace vmnet {

struct ForwardOptions {
  bool tso = false;               // the VM takes and sends large segments
  bool checksum_offload = false;  // the VM takes and sends unfinished checksums
  bool engine = true;             // split and merge; off: one frame in, one frame out
};

}  // namespace vmnet
