// Counters of one direction, cumulative. Written once a batch by its forwarder's thread (and by the
// reading thread for a reply that the helper made itself), read by any.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "forward/capture.h"
#include "platform/endpoint.h"

namespace vmnet {

struct DirectionCounts {
  uint64_t packets = 0;
  uint64_t bytes = 0;
  uint64_t drops = 0;
  uint64_t fast = 0;  // batched system calls
  uint64_t slow = 0;  // system calls for a single frame
};

class DirectionStats {
 public:
  // Adds what a write delivered.
  void add(const Transfer& transfer);

  // Adds a read's system calls and drops. Its frames count when they are delivered.
  void add_read(const Transfer& transfer);

  void add_drops(uint64_t drops);
  DirectionCounts counts() const;

 private:
  std::atomic<uint64_t> packets_ = 0;
  std::atomic<uint64_t> bytes_ = 0;
  std::atomic<uint64_t> drops_ = 0;
  std::atomic<uint64_t> fast_ = 0;
  std::atomic<uint64_t> slow_ = 0;
};

// The time is the local one: the caller has run tzset() (a sandbox may hide the zone's file later).
// {"time":"2026-11-23T10:00:00.000+01:00","host":{...},"vm":{...}}: `host` is host to VM, `vm` VM
// to host; "capture":{...} too where there is one. One line, no line end.
std::string stats_json(const DirectionCounts& host, const DirectionCounts& vm,
                       const std::optional<CaptureCounts>& capture = {});

}  // namespace vmnet
