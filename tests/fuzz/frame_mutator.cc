#include "frame_mutator.h"

#include <algorithm>
#include <random>

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace vmnet::fuzz {
namespace {

using Frame = std::span<uint8_t>;

uint32_t get16(std::span<const uint8_t> bytes, size_t at) {
  return (uint32_t{bytes[at]} << 8) | bytes[at + 1];
}

void put16(Frame bytes, size_t at, size_t value) {
  bytes[at] = static_cast<uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<uint8_t>(value);
}

uint32_t plain_sum(std::span<const uint8_t> bytes, uint32_t sum) {
  uint64_t total = sum;
  const uint8_t* at = bytes.data();
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) total += (uint32_t{at[i]} << 8) | at[i + 1];
  if (bytes.size() % 2 != 0) total += uint32_t{bytes.back()} << 8;
  while (total > 0xffff) total = (total & 0xffff) + (total >> 16);
  return static_cast<uint32_t>(total);
}

// The parts of a frame, as far as they are there.
struct Parts {
  bool ipv6 = false;
  size_t ip = 14;
  size_t upper = 0;
  uint8_t protocol = 0;
};

bool take_apart(std::span<const uint8_t> frame, Parts& parts) {
  if (frame.size() < 34) return false;
  uint32_t type = get16(frame, 12);
  if (type == 0x8100) {
    type = get16(frame, 16);
    parts.ip = 18;
  }
  std::span<const uint8_t> ip = frame.subspan(parts.ip);
  parts.ipv6 = type == 0x86dd;
  if (type == 0x0800) {
    size_t header = (ip[0] & 15U) * 4;
    if (header < 20 || header > ip.size()) return false;
    parts.protocol = ip[9];
    parts.upper = parts.ip + header;
    return true;
  }
  if (!parts.ipv6 || ip.size() < 40) return false;
  parts.protocol = ip[6];
  parts.upper = parts.ip + 40;
  return true;
}

uint32_t pseudo(std::span<const uint8_t> frame, const Parts& parts, size_t length) {
  auto addresses = parts.ipv6 ? frame.subspan(parts.ip + 8, 32) : frame.subspan(parts.ip + 12, 8);
  return plain_sum(addresses, static_cast<uint32_t>(parts.protocol + length));
}

size_t checksum_at(uint8_t protocol) {
  switch (protocol) {
    case 6:
      return 16;
    case 17:
      return 6;
    case 58:
      return 2;
    default:
      return SIZE_MAX;
  }
}

}  // namespace

void mend(Frame frame) {
  Parts parts;
  if (!take_apart(frame, parts)) return;
  Frame upper = frame.subspan(parts.upper);
  if (parts.ipv6) {
    put16(frame, parts.ip + 4, upper.size());
  } else {
    put16(frame, parts.ip + 2, frame.size() - parts.ip);
    put16(frame, parts.ip + 10, 0);
    put16(frame, parts.ip + 10, ~plain_sum(frame.subspan(parts.ip, parts.upper - parts.ip), 0));
  }
  size_t field = checksum_at(parts.protocol);
  if (field == SIZE_MAX || upper.size() < field + 2) return;
  if (parts.protocol == 17 && upper.size() >= 8) put16(upper, 4, upper.size());
  put16(upper, field, 0);
  put16(upper, field, ~plain_sum(upper, pseudo(frame, parts, upper.size())));
}

bool checksums_are_right(std::span<const uint8_t> frame) {
  Parts parts;
  if (!take_apart(frame, parts)) return false;
  auto header = frame.subspan(parts.ip, parts.upper - parts.ip);
  if (!parts.ipv6 && plain_sum(header, 0) != 0xffff) return false;
  auto upper = frame.subspan(parts.upper);
  return plain_sum(upper, pseudo(frame, parts, upper.size())) == 0xffff;
}

std::vector<std::vector<uint8_t>> frames_of(std::span<const uint8_t> input) {
  std::vector<std::vector<uint8_t>> frames;
  while (input.size() >= 2 && frames.size() < 64) {
    size_t size = std::min<size_t>(input[0] | (size_t{input[1]} << 8), input.size() - 2);
    auto frame = input.subspan(2, size);
    frames.emplace_back(frame.begin(), frame.end());
    input = input.subspan(2 + size);
  }
  return frames;
}

size_t mutate_frame(uint8_t* data, size_t size, size_t max_size, unsigned seed, size_t prefix) {
  size = LLVMFuzzerMutate(data, size, max_size);
  if (seed % 8 != 0 && size > prefix) mend(Frame(data, size).subspan(prefix));
  return size;
}

namespace {

// Makes `frame` the next segment after `previous`, so that flows come about.
void follow(const std::vector<uint8_t>& previous, std::vector<uint8_t>& frame) {
  Parts parts;
  if (!take_apart(previous, parts) || parts.protocol != 6) return;
  size_t tcp = parts.upper;
  if (previous.size() < tcp + 20 || frame.size() < tcp + 20) return;
  size_t header = (previous[tcp + 12] >> 4) * size_t{4};
  if (previous.size() < tcp + header || frame.size() < tcp + header) return;
  std::copy_n(previous.begin(), tcp + header, frame.begin());
  size_t payload = previous.size() - tcp - header;
  uint32_t sequence = (get16(previous, tcp + 4) << 16) | get16(previous, tcp + 6);
  sequence += static_cast<uint32_t>(payload);
  put16(frame, tcp + 4, sequence >> 16);
  put16(frame, tcp + 6, sequence & 0xffff);
  if (!parts.ipv6) put16(frame, parts.ip + 4, get16(previous, parts.ip + 4) + 1);
}

}  // namespace

size_t mutate_frames(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  std::minstd_rand random(seed);
  auto frames = frames_of({data, size});
  size_t chosen = frames.empty() ? 0 : random() % frames.size();
  if (frames.empty() || random() % 8 == 0) {
    return LLVMFuzzerMutate(data, size, max_size);
  }
  auto& frame = frames[chosen];
  size_t before = frame.size();
  if (random() % 2 == 0) {
    frame.resize(before + 64);
    frame.resize(LLVMFuzzerMutate(frame.data(), before, frame.size()));
  }
  if (frames.size() < 64 && random() % 4 == 0) {
    auto at = frames.begin() + static_cast<ptrdiff_t>(chosen);
    frames.insert(at, std::vector<uint8_t>(*at));
  }
  if (random() % 2 == 0 && chosen > 0) follow(frames[chosen - 1], frames[chosen]);
  for (auto& each : frames) {
    if (random() % 16 != 0) mend(each);
  }
  size_t at = 0;
  for (const auto& each : frames) {
    if (at + 2 + each.size() > max_size || each.size() > 0xffff) break;
    data[at++] = static_cast<uint8_t>(each.size());
    data[at++] = static_cast<uint8_t>(each.size() >> 8);
    std::ranges::copy(each, data + at);
    at += each.size();
  }
  return at;
}

}  // namespace vmnet::fuzz
