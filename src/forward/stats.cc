#include "forward/stats.h"

#include <chrono>
#include <cstdlib>
#include <ctime>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace vmnet {
namespace {

// ISO 8601 with milliseconds and offset: 2026-11-23T10:00:00.000+01:00.
std::string local_time(std::chrono::system_clock::time_point now) {
  using std::chrono::duration_cast;
  using std::chrono::milliseconds;
  auto since_epoch = std::chrono::floor<milliseconds>(now.time_since_epoch());
  auto seconds = std::chrono::floor<std::chrono::seconds>(since_epoch);
  auto time = static_cast<time_t>(seconds.count());
  tm parts{};
  if (localtime_r(&time, &parts) == nullptr) return {};  // a year that no int holds
  long offset = std::labs(parts.tm_gmtoff) / 60;
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}{}{:02}:{:02}", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     (since_epoch - seconds).count(), parts.tm_gmtoff < 0 ? '-' : '+', offset / 60,
                     offset % 60);
}

nlohmann::ordered_json to_object(const DirectionCounts& counts) {
  return {{"packets", counts.packets},
          {"bytes", counts.bytes},
          {"drops", counts.drops},
          {"fast", counts.fast},
          {"slow", counts.slow}};
}

}  // namespace

void DirectionStats::add(const Transfer& transfer) {
  packets_.fetch_add(transfer.frames, std::memory_order_relaxed);
  bytes_.fetch_add(transfer.bytes, std::memory_order_relaxed);
  add_read(transfer);
}

void DirectionStats::add_read(const Transfer& transfer) {
  add_drops(transfer.drops);
  fast_.fetch_add(transfer.batched_calls, std::memory_order_relaxed);
  slow_.fetch_add(transfer.single_calls, std::memory_order_relaxed);
}

void DirectionStats::add_drops(uint64_t drops) {
  if (drops != 0) drops_.fetch_add(drops, std::memory_order_relaxed);
}

DirectionCounts DirectionStats::counts() const {
  return {.packets = packets_.load(std::memory_order_relaxed),
          .bytes = bytes_.load(std::memory_order_relaxed),
          .drops = drops_.load(std::memory_order_relaxed),
          .fast = fast_.load(std::memory_order_relaxed),
          .slow = slow_.load(std::memory_order_relaxed)};
}

std::string stats_json(const DirectionCounts& host, const DirectionCounts& vm,
                       const std::optional<CaptureCounts>& capture) {
  nlohmann::ordered_json json;
  json["time"] = local_time(std::chrono::system_clock::now());
  json["host"] = to_object(host);
  json["vm"] = to_object(vm);
  if (capture) {
    json["capture"] = {
        {"packets", capture->packets}, {"bytes", capture->bytes}, {"drops", capture->drops}};
  }
  return json.dump();
}

}  // namespace vmnet
