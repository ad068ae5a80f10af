#include "bridge.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace macos_sim {
namespace {

constexpr std::array<uint8_t, 6> kGateway = {0x0e, 0, 0, 0, 0, 0x01};
constexpr std::array<uint8_t, 6> kStation = {0x0e, 0, 0, 0, 0, 0x02};
constexpr size_t kHeader = 14;
constexpr uint16_t kIpv4 = 0x0800;
constexpr uint16_t kArp = 0x0806;
constexpr uint16_t kExperiment = 0x88b5;  // payload: count and size of the burst, 16 bits each

uint16_t word(std::span<const uint8_t> bytes, size_t at) {
  return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

void put_address(Frame& frame, size_t at, uint32_t address) {
  for (size_t i = 0; i < 4; i++) frame[at + i] = static_cast<uint8_t>(address >> (24 - 8 * i));
}

bool has_address(std::span<const uint8_t> frame, size_t at, uint32_t address) {
  return word(frame, at) == address >> 16 && word(frame, at + 2) == (address & 0xffff);
}

Frame turned(std::span<const uint8_t> frame, const std::array<uint8_t, 6>& source) {
  Frame answer(frame.begin(), frame.end());
  std::copy_n(frame.begin() + 6, 6, answer.begin());
  std::ranges::copy(source, answer.begin() + 6);
  return answer;
}

Frame arp_answer(std::span<const uint8_t> frame, uint32_t gateway) {
  Frame answer = turned(frame, kGateway);
  answer[21] = 2;
  std::copy_n(frame.begin() + 22, 10, answer.begin() + 32);
  std::ranges::copy(kGateway, answer.begin() + 22);
  put_address(answer, 28, gateway);
  return answer;
}

Frame ping_answer(std::span<const uint8_t> frame) {
  Frame answer = turned(frame, kGateway);
  std::copy_n(frame.begin() + 26, 4, answer.begin() + 30);
  std::copy_n(frame.begin() + 30, 4, answer.begin() + 26);
  answer[34] = 0;
  uint32_t sum = word(frame, 36) + 0x0800U;  // type 8 becomes 0 (RFC 1624)
  sum = (sum & 0xffff) + (sum >> 16);
  answer[36] = static_cast<uint8_t>(sum >> 8);
  answer[37] = static_cast<uint8_t>(sum);
  return answer;
}

std::vector<Frame> burst(std::span<const uint8_t> frame) {
  Frame one = turned(frame, kStation);
  uint16_t count = word(frame, kHeader);
  one.resize(std::max<size_t>(word(frame, kHeader + 2), kHeader + 2));
  std::vector<Frame> frames;
  for (uint16_t i = 0; i < count; i++) {
    one[kHeader] = static_cast<uint8_t>(i >> 8);
    one[kHeader + 1] = static_cast<uint8_t>(i);
    frames.push_back(one);
  }
  return frames;
}

}  // namespace

bool goes_to_station(std::span<const uint8_t> frame) {
  return frame.size() >= kHeader && std::equal(kStation.begin(), kStation.end(), frame.begin());
}

std::vector<Frame> bridge_answers(std::span<const uint8_t> frame, uint32_t gateway) {
  if (frame.size() < kHeader + 4) return {};
  uint16_t type = word(frame, 12);
  bool to_station = goes_to_station(frame);
  if (to_station && type == kExperiment) return burst(frame);
  if (to_station) return {turned(frame, kStation)};
  if (type == kArp && frame.size() >= 42 && word(frame, 20) == 1 &&
      has_address(frame, 38, gateway)) {
    return {arp_answer(frame, gateway)};
  }
  if (type == kIpv4 && frame.size() >= 42 && frame[14] == 0x45 && frame[23] == 1 &&
      frame[34] == 8 && has_address(frame, 30, gateway)) {
    return {ping_answer(frame)};
  }
  return {};
}

}  // namespace macos_sim
