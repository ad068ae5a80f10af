// Merging: no byte is lost, no frame appears twice, order within the groups holds, and a frame
// whose checksum is wrong is never part of a merged one.
#include <set>

#include "expect.h"
#include "frame_mutator.h"
#include "wire/merge.h"
#include "wire/split.h"

using vmnet::Merger;
using vmnet::fuzz::expect;

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  return vmnet::fuzz::mutate_frames(data, size, max_size, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto frames = vmnet::fuzz::frames_of({data, size});
  const auto originals = frames;
  for (bool verify : {true, false}) {
    frames = originals;
    Merger merger(frames.size(), {.verify_checksums = verify});
    for (auto& frame : frames) merger.add(frame);
    merger.finish();
    std::set<size_t> seen;
    for (size_t i = 0; i < merger.count(); i++) {
      if (!merger.begins_group(i)) continue;
      bool merged = merger.is_merged(i);
      if (!merged) expect(frames[i] == originals[i]);
      expect(merged == (merger.header(i).gso_type != 0));
      size_t total = 0;
      uint32_t before = 0;
      for (auto at = static_cast<uint32_t>(i); at != Merger::kEnd; at = merger.next(at)) {
        expect(seen.insert(at).second && (at == i || at > before));
        before = at;
        total += merger.part(at).size();
        if (merged && verify) expect(vmnet::fuzz::checksums_are_right(originals[at]));
      }
      expect(!merged || total <= 65'535);
    }
    expect(seen.size() == frames.size());
  }
  return 0;
}
