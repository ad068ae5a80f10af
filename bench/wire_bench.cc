// What the engine's parts cost by themselves: checksum, split, merge. Google Benchmark.
#include <algorithm>

#include <benchmark/benchmark.h>

#include "wire/checksum.h"
#include "wire/merge.h"
#include "wire/split.h"
#include "wire/test_frames.h"

namespace vmnet {
namespace {

constexpr size_t kFrame = 1514;
constexpr size_t kHeaders = 14 + 20 + 20;
constexpr size_t kPayload = kFrame - kHeaders;
constexpr size_t kSegments = 44;  // of a frame of 64 KiB

void checksum(benchmark::State& state) {
  std::vector<uint8_t> data(static_cast<size_t>(state.range(0)), 0x5a);
  while (state.KeepRunning()) benchmark::DoNotOptimize(ones_sum(data));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(checksum)->Arg(64)->Arg(1460)->Arg(65'000);

test::Buffer segment_of_flow(size_t index) {
  test::TcpFrame frame;
  frame.id = static_cast<uint16_t>(index);
  frame.tcp.sequence = static_cast<uint32_t>(1 + (index * kPayload));
  frame.payload = test::Buffer(kPayload, 0x5a);
  return frame.frame();
}

void split(benchmark::State& state) {
  test::TcpFrame large;
  large.payload = test::Buffer(kSegments * kPayload, 0x5a);
  test::Buffer frame = large.frame();
  const VirtioHeader header{.flags = VirtioHeader::kNeedsChecksum,
                            .gso_type = VirtioHeader::kGsoTcpv4,
                            .header_length = kHeaders,
                            .gso_size = kPayload,
                            .checksum_start = 34,
                            .checksum_offset = TcpHeader::kChecksumAt};
  test::Buffer headers(kHeaders);
  while (state.KeepRunning()) {
    auto segmenter = Segmenter::create(header, frame, kFrame);
    for (size_t i = 0; i < segmenter->count(); i++) {
      Bytes payload = Bytes(frame).subspan(segmenter->payload_start(i), segmenter->payload_size(i));
      segmenter->write_header(i, payload, headers);
    }
    benchmark::DoNotOptimize(headers.data());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kSegments));
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(frame.size()));
}
BENCHMARK(split);

void merge(benchmark::State& state) {
  const bool verify = state.range(0) != 0;
  std::vector<test::Buffer> originals;
  originals.reserve(kSegments);
  for (size_t i = 0; i < kSegments; i++) originals.push_back(segment_of_flow(i));
  std::vector<test::Buffer> frames = originals;
  Merger merger(kSegments, {.verify_checksums = verify});
  while (state.KeepRunning()) {
    // Merging rewrites the first frame's headers alone.
    std::copy_n(originals[0].begin(), kHeaders, frames[0].begin());
    merger.clear();
    for (test::Buffer& frame : frames) merger.add(frame);
    merger.finish();
    benchmark::DoNotOptimize(merger.is_merged(0));
  }
  if (!merger.is_merged(0)) state.SkipWithError("nothing was merged");
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kSegments));
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(kSegments * kFrame));
}
BENCHMARK(merge)->Arg(1)->Arg(0)->ArgName("verify");

}  // namespace
}  // namespace vmnet
