// A stream taken apart: in whatever pieces it comes, the frames that come out are those of the rule
// itself, read from the whole.
//
// The first byte chooses the largest frame, the second how the reads are cut.
#include <algorithm>
#include <optional>
#include <span>
#include <vector>

#include "expect.h"
#include "forward/stream_extractor.h"

using vmnet::StreamExtractor;
using vmnet::fuzz::expect;

namespace {

struct Outcome {
  std::vector<std::vector<uint8_t>> frames;
  uint64_t drops = 0;
  std::optional<uint32_t> bad_length;

  bool operator==(const Outcome&) const = default;
};

Outcome by_the_rule(std::span<const uint8_t> stream, size_t max_frame) {
  Outcome outcome;
  while (stream.size() >= 4) {
    uint32_t length = (uint32_t{stream[0]} << 24) | (uint32_t{stream[1]} << 16) |
                      (uint32_t{stream[2]} << 8) | stream[3];
    if (length > max_frame) {
      outcome.bad_length = length;
      break;
    }
    stream = stream.subspan(4);
    if (stream.size() < length) break;
    if (length >= 14) outcome.frames.emplace_back(stream.begin(), stream.begin() + length);
    if (length > 0 && length < 14) outcome.drops++;
    stream = stream.subspan(length);
  }
  return outcome;
}

Outcome in_pieces(std::span<const uint8_t> stream, size_t max_frame, size_t step) {
  StreamExtractor extractor(max_frame);
  Outcome outcome;
  while (!stream.empty() && !extractor.bad_length()) {
    auto room = extractor.room();
    expect(room.size() == StreamExtractor::kReadSize);
    size_t size = std::min({step, stream.size(), room.size()});
    std::copy_n(stream.begin(), size, room.begin());
    extractor.received(size);
    stream = stream.subspan(size);
    size_t count = 0;
    for (auto frame = extractor.next(); !frame.empty(); frame = extractor.next()) {
      outcome.frames.emplace_back(frame.begin(), frame.end());
      std::ranges::fill(frame, 0xee);  // who has it may write into it
      count++;
    }
    expect(count <= StreamExtractor::kMaxFrames);
    step = 1 + (step * 5 + 3) % 97;
  }
  outcome.drops = extractor.take_drops();
  outcome.bad_length = extractor.bad_length();
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  size_t max_frame = data[0] % 2 == 0 ? 64 + data[0] : 1522;
  std::span<const uint8_t> stream(data + 2, size - 2);
  expect(in_pieces(stream, max_frame, 1 + data[1]) == by_the_rule(stream, max_frame));
  return 0;
}
