// Mends frames after random mutation: without right lengths and checksums a fuzzer would hardly
// ever get past the first comparison. Written apart from src/wire, so that it shares none of its
// mistakes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace vmnet::fuzz {

// Sets IP and UDP lengths to what is there and completes IPv4, TCP, UDP and ICMPv6 checksums.
void mend(std::span<uint8_t> frame);

// Whether the IP header checksum (IPv4) and the transport checksum of a TCP or UDP frame are right.
bool checksums_are_right(std::span<const uint8_t> frame);

// A list of frames in one input: each a 16-bit little-endian length and its bytes, the last one
// whatever is left. Never more than 64.
std::vector<std::vector<uint8_t>> frames_of(std::span<const uint8_t> input);

// Mutators for LLVMFuzzerCustomMutator: libFuzzer's own, then mending most of the time. `prefix`:
// bytes before the frame that are left alone.
size_t mutate_frame(uint8_t* data, size_t size, size_t max_size, unsigned seed, size_t prefix);
size_t mutate_frames(uint8_t* data, size_t size, size_t max_size, unsigned seed);

}  // namespace vmnet::fuzz
