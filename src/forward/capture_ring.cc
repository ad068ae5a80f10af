#include "forward/capture_ring.h"

namespace vmnet {

CaptureRing::CaptureRing(size_t capacity)
    : capacity_(capacity), memory_(std::make_unique_for_overwrite<uint8_t[]>(capacity)) {}

std::span<uint8_t> CaptureRing::reserve(size_t size) {
  size_t offset = reserved_ % capacity_;
  bool new_lap = offset == 0 || capacity_ - offset < size;
  size_t begin = new_lap && offset != 0 ? next_lap(reserved_) : reserved_;
  // Also says that the end of the lap before the last has been read, so that it may be forgotten.
  if (begin + size - read_.load(std::memory_order_acquire) > capacity_) return {};
  if (new_lap) lap_end_.store(reserved_, std::memory_order_relaxed);
  reserved_ = begin + size;
  return {memory_.get() + (begin % capacity_), size};
}

void CaptureRing::publish() { written_.store(reserved_, std::memory_order_release); }

std::span<const uint8_t> CaptureRing::oldest() {
  size_t written = written_.load(std::memory_order_acquire);
  size_t read = read_.load(std::memory_order_relaxed);
  if (read == written) return {};
  size_t end = written;
  if (written > next_lap(read)) {
    end = lap_end_.load(std::memory_order_relaxed);
    if (read == end) {
      read = next_lap(read);
      read_.store(read, std::memory_order_release);
      end = written;
    }
  }
  return {memory_.get() + (read % capacity_), end - read};
}

void CaptureRing::release(size_t size) {
  read_.store(read_.load(std::memory_order_relaxed) + size, std::memory_order_release);
}

}  // namespace vmnet
