// Blocks of a capture file of Ethernet frames, as Wireshark and tcpdump read them: one section, one
// interface, times in nanoseconds, a direction with each frame, in this machine's byte order.
//
// Source: draft-ietf-opsawg-pcapng (section header, interface description, enhanced packet and
// interface statistics blocks).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "wire/headers.h"

namespace vmnet {

// As the interface of the VM has it: epb_flags, bits 0 and 1.
enum class CaptureDirection : uint32_t { kInbound = 1, kOutbound = 2 };

// What a file begins with. Each name is printable and short; an interface may have none.
std::vector<uint8_t> pcapng_start(std::string_view application, std::string_view interface_name);

// Of the block of one frame; a multiple of four.
constexpr size_t pcapng_packet_size(size_t frame_size) {
  constexpr size_t kHeadAndTail = 44;
  return kHeadAndTail + ((frame_size + 3) / 4 * 4);
}

// Fills `block`, which is pcapng_packet_size(frame_size) bytes, all but the frame itself, whose
// place is the result. `time`: nanoseconds since 1970.
MutableBytes write_pcapng_packet(MutableBytes block, uint64_t time, CaptureDirection direction,
                                 size_t frame_size);

// Of a block that write_pcapng_packet() made: its size and its time.
size_t pcapng_block_size(const uint8_t* block);
uint64_t pcapng_packet_time(const uint8_t* block);

// What a file may end with: how many frames there were, and how many of them are not in it.
std::vector<uint8_t> pcapng_end(uint64_t time, uint64_t frames, uint64_t lost);

}  // namespace vmnet
