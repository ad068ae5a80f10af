// What a frame meets behind the simulated interface: a gateway that answers ARP and ping, and a
// station that echoes frames and sends bursts.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace macos_sim {

using Frame = std::vector<uint8_t>;

// The answers to one bare Ethernet frame.
std::vector<Frame> bridge_answers(std::span<const uint8_t> frame, uint32_t gateway);

// Whether the station is whom the frame is for.
bool goes_to_station(std::span<const uint8_t> frame);

}  // namespace macos_sim
