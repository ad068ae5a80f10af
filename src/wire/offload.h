// The virtio header of a frame from a guest that leaves checksums and segmentation to the host, but
// whose monitor stripped the header that said so (libkrun): rebuilt from the frame itself.
//
// The way back needs no such thing: a frame reaches that guest with a header of zeros, which says
// neither "unfinished" nor "verified", so the guest checks the sum and it must be complete
// (complete_checksum in wire/split.h), whatever the frame's size.
#pragma once

#include <cstddef>
#include <optional>

#include "wire/headers.h"
#include "wire/virtio_header.h"

namespace vmnet {

struct Rebuilt {
  VirtioHeader header;
  size_t frame_size = 0;  // without Ethernet padding, which would be summed
};

// `frame`: bare Ethernet; its checksum field is rewritten. TCP beyond `mtu` (of the IP packet) is
// to be segmented to it, UDP to be fragmented. Every TCP and UDP checksum is left to the kernel,
// since a finished one cannot be told from an unfinished one. Nothing: larger than `mtu` and
// neither.
std::optional<Rebuilt> rebuild_header(MutableBytes frame, size_t mtu);

}  // namespace vmnet
