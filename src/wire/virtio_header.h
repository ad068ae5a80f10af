// The header in front of every frame on the host's side: struct virtio_net_hdr_v1 (virtio 1.2,
// section 5.1.6; linux/virtio_net.h), 12 bytes, little endian. It says what of the frame is left
// for the receiver to do: finish a checksum, cut into segments.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace vmnet {

struct VirtioHeader {
  static constexpr size_t kSize = 12;

  // flags
  static constexpr uint8_t kNeedsChecksum = 1;  // checksum_start and checksum_offset are valid
  static constexpr uint8_t kDataValid = 2;      // the checksum was verified

  // gso_type
  static constexpr uint8_t kGsoNone = 0;
  static constexpr uint8_t kGsoTcpv4 = 1;
  static constexpr uint8_t kGsoUdp = 3;  // one datagram, to be fragmented (UFO)
  static constexpr uint8_t kGsoTcpv6 = 4;
  static constexpr uint8_t kGsoUdpL4 = 5;   // several datagrams (USO)
  static constexpr uint8_t kGsoEcn = 0x80;  // or-ed: CWR is set, on the first segment alone

  uint8_t flags = 0;
  uint8_t gso_type = kGsoNone;
  uint16_t header_length = 0;    // Ethernet, IP and transport header, a hint
  uint16_t gso_size = 0;         // payload bytes of a segment
  uint16_t checksum_start = 0;   // of the frame: where summing begins
  uint16_t checksum_offset = 0;  // from checksum_start: where the checksum goes
  uint16_t buffer_count = 0;

  bool needs_checksum() const { return (flags & kNeedsChecksum) != 0; }
  uint8_t segmentation() const { return static_cast<uint8_t>(gso_type & ~kGsoEcn); }
  bool operator==(const VirtioHeader&) const = default;
};

inline VirtioHeader read_virtio_header(std::span<const uint8_t, VirtioHeader::kSize> from) {
  auto le16 = [&](size_t at) { return static_cast<uint16_t>(from[at] | (from[at + 1] << 8)); };
  return {.flags = from[0],
          .gso_type = from[1],
          .header_length = le16(2),
          .gso_size = le16(4),
          .checksum_start = le16(6),
          .checksum_offset = le16(8),
          .buffer_count = le16(10)};
}

inline void write_virtio_header(const VirtioHeader& header,
                                std::span<uint8_t, VirtioHeader::kSize> to) {
  auto put_le16 = [&](size_t at, uint16_t value) {
    to[at] = static_cast<uint8_t>(value);
    to[at + 1] = static_cast<uint8_t>(value >> 8);
  };
  to[0] = header.flags;
  to[1] = header.gso_type;
  put_le16(2, header.header_length);
  put_le16(4, header.gso_size);
  put_le16(6, header.checksum_start);
  put_le16(8, header.checksum_offset);
  put_le16(10, header.buffer_count);
}

}  // namespace vmnet
