// Counters of one direction: written by its forwarder's thread alone, read by any.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "forward/endpoint.h"

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
  void add_drops(uint64_t drops);
  DirectionCounts counts() const;

 private:
  std::atomic<uint64_t> packets_ = 0;
  std::atomic<uint64_t> bytes_ = 0;
  std::atomic<uint64_t> drops_ = 0;
  std::atomic<uint64_t> fast_ = 0;
  std::atomic<uint64_t> slow_ = 0;
};

// {"time":"2026-11-23T10:00:00.000+01:00","host":{...},"vm":{...}}: `host` is host to VM, `vm` VM
// to host. One line, no line end.
std::string stats_json(const DirectionCounts& host, const DirectionCounts& vm);

}  // namespace vmnet
