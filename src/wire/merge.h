// Merges consecutive TCP segments of a flow, or its datagrams of one size, into one large frame
// with a virtio header, as a careful kernel GRO would: only what splitting takes apart again into
// the very same frames. Payload is not copied; the headers are rewritten in place in the first
// frame.
//
// Works on what one receive returned: frames are added in order, then the groups are read, each at
// the place of its first frame. A frame that may belong to a flow but does not continue it ends the
// flow's group, so nothing overtakes anything within a flow.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "wire/headers.h"
#include "wire/virtio_header.h"

namespace vmnet {

class Merger {
 public:
  struct Options {
    // False for guests with checksum offload: theirs are unfinished, and correct by definition.
    bool verify_checksums = true;
    bool merge_udp = false;           // whether who takes the frames knows kGsoUdpL4
    size_t max_segment_frame = 1514;  // larger frames are not merged
    size_t max_frame = 65'535;        // the kernel would segment a larger one again
  };
  static constexpr uint32_t kEnd = UINT32_MAX;

  // Allocates for `capacity` frames.
  Merger(size_t capacity, Options options);

  size_t capacity() const { return entries_.capacity(); }
  void clear();

  // At most capacity() frames between two clear(). The frame must live until the groups are used.
  void add(MutableBytes frame);

  // Rewrites the headers of merged frames. Once, after the last add().
  void finish();

  size_t count() const { return entries_.size(); }
  // Whether frame `index` begins a group; a frame alone is a group of one.
  bool begins_group(size_t index) const { return entries_[index].leads; }
  bool is_merged(size_t index) const { return entries_[index].next != kEnd; }
  // All zero for a group of one.
  const VirtioHeader& header(size_t index) const { return entries_[index].header; }
  // What is sent of frame `index`: the whole frame of the first, the payload of others.
  MutableBytes part(size_t index) const { return entries_[index].part; }
  // The next frame of the group or kEnd.
  uint32_t next(size_t index) const { return entries_[index].next; }

 private:
  struct Entry {
    MutableBytes part;
    bool leads = true;
    uint32_t next = kEnd;
    // Of the group, in its first entry:
    uint32_t last = kEnd;
    TransportLayout layout;
    size_t size = 0;  // of the merged frame
    size_t segment_size = 0;
    size_t segments = 1;
    uint16_t id_step = 0;  // IPv4: the id grows by it
    VirtioHeader header;
  };
  static constexpr size_t kFlows = 64;

  bool may_lead(const Entry& entry) const;
  bool may_join(const Entry& group, const Entry& entry) const;
  void join(uint32_t group_index, uint32_t entry_index);
  void finish_group(Entry& group) const;

  Options options_;
  std::vector<Entry> entries_;
  // The open group of each flow, by hash; a collision ends the older one's group.
  std::array<uint32_t, kFlows> open_{};
};

}  // namespace vmnet
