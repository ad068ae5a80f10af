// vmnet_read and vmnet_write. Their rules: every packet is one iovec; before a read each slot's
// sizes are set to the largest packet; a call takes as many packets as vmnet reports, or 200, and
// 256 KiB. (Reads of more than 256 KiB are what systems that report their batches ask for; writes
// keep to it everywhere.) A write that fails says nothing of how many packets it took: none are
// assumed.
#include "macos/vmnet_endpoint.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#include "platform/config.h"

namespace vmnet {
namespace {

constexpr size_t kVirtioHeaderSize = 12;  // struct virtio_net_hdr_v1
constexpr size_t kDocumentedBytes = 256UL * 1024;

// vmnet's buffers are full: so long, and so often a batch, until the rest is dropped.
constexpr std::chrono::microseconds kRoomWait{50};
constexpr int kMaxRoomWaits = 10;

// A read that fails: so long until the next one.
constexpr std::chrono::milliseconds kFailedReadWait{1};

size_t packet_limit(const std::optional<uint64_t>& reported) {
  if (!reported || *reported == 0) return kDocumentedPackets;
  return static_cast<size_t>(std::min<uint64_t>(*reported, 1024));
}

// The bytes of a frame from `skip` on, in one piece at `target`.
void gather(std::span<const iovec> parts, size_t skip, uint8_t* target) {
  for (const iovec& part : parts) {
    size_t skipped = std::min(skip, part.iov_len);
    skip -= skipped;
    const auto* bytes = static_cast<const uint8_t*>(part.iov_base);
    target = std::copy(bytes + skipped, bytes + part.iov_len, target);
  }
}

}  // namespace

Result<std::shared_ptr<FrameFlag>> FrameFlag::create() {
  auto wake_up = WakeUp::create();
  if (!wake_up) return pass(wake_up);
  return std::shared_ptr<FrameFlag>(new FrameFlag(std::move(*wake_up)));
}

void FrameFlag::raise() {
  // In this order: whoever sees the pipe empty sees the news.
  news_.store(true);
  wake_up_.raise();
}

void FrameFlag::drained() {
  wake_up_.clear();
  if (news_.load()) wake_up_.raise();
}

VmnetEndpoint::VmnetEndpoint(interface_ref interface, const Shape& shape,
                             std::shared_ptr<FrameFlag> flag)
    : interface_(interface),
      shape_(shape),
      header_size_(shape.virtio_header ? kVirtioHeaderSize : 0),
      write_packets_(packet_limit(shape.write_max_packets)),
      flag_(std::move(flag)),
      read_packets_(packet_limit(shape.read_max_packets)),
      read_parts_(read_packets_.size()) {
  outgoing_.packets.resize(write_packets_);
  outgoing_.parts.resize(write_packets_);
  outgoing_.copies.resize(kDocumentedBytes);
}

size_t VmnetEndpoint::read_limit(const ReceiveBatch& batch) const {
  size_t limit = std::min(batch.capacity(), read_packets_.size());
  if (shape_.read_max_packets) return limit;
  return std::min(limit, kDocumentedBytes / (shape_.max_packet_size + header_size_));
}

Transfer VmnetEndpoint::read(ReceiveBatch& batch) {
  batch.set_count(0);
  // vmnet's packet lies where the transform wants it: behind 12 bytes of header, its own or ours.
  size_t offset = kVirtioHeaderSize - header_size_;
  size_t size = shape_.max_packet_size + header_size_;
  size_t limit = read_limit(batch);
  for (size_t i = 0; i < limit; i++) {
    read_parts_[i] = {.iov_base = batch.slot(i).data() + offset, .iov_len = size};
    read_packets_[i] = {
        .vm_pkt_size = size, .vm_pkt_iov = &read_parts_[i], .vm_pkt_iovcnt = 1, .vm_flags = 0};
  }
  flag_->expect_news();
  int count = static_cast<int>(limit);
  vmnet_return_t status = vmnet_read(interface_, read_packets_.data(), &count);
  if (status != VMNET_SUCCESS) {
    // With the flag up: no event tells of the frames that are there a second time.
    std::this_thread::sleep_for(kFailedReadWait);
    return {};
  }
  if (count <= 0) {
    flag_->drained();
    return {};
  }
  Transfer transfer{.batched_calls = 1};
  size_t kept = 0;
  for (size_t i = 0; i < std::min(static_cast<size_t>(count), limit); i++) {
    size_t packet = read_packets_[i].vm_pkt_size;
    if (packet < header_size_ + kEthernetHeaderSize || packet > size) {
      transfer.drops++;
      continue;
    }
    std::memset(batch.slot(i).data(), 0, offset);
    batch.put(kept++, i, offset + packet);
    transfer.bytes += packet - header_size_;
  }
  batch.set_count(kept);
  transfer.frames = kept;
  return transfer;
}

// False: there is no room for it in this call.
bool VmnetEndpoint::add(const SendBatch& batch, size_t index, Outgoing& out) const {
  size_t skip = kVirtioHeaderSize - header_size_;
  size_t size = batch.size_of(index) - skip;
  if (out.count == write_packets_ || out.bytes + size > kDocumentedBytes) return false;
  std::span<const iovec> parts = batch.parts_of(index);
  auto* data = static_cast<uint8_t*>(parts.front().iov_base) + skip;
  if (parts.size() > 1) {
    data = out.copies.data() + out.copied;
    gather(parts, skip, data);
    out.copied += size;
  }
  out.parts[out.count] = {.iov_base = data, .iov_len = size};
  out.packets[out.count] = {
      .vm_pkt_size = size, .vm_pkt_iov = &out.parts[out.count], .vm_pkt_iovcnt = 1, .vm_flags = 0};
  out.count++;
  out.bytes += size;
  return true;
}

Transfer VmnetEndpoint::write(const SendBatch& batch) {
  Transfer transfer;
  outgoing_.waits = 0;
  for (size_t i = 0; i < batch.count(); i++) {
    size_t size = batch.size_of(i);
    // One packet that vmnet refuses fails the whole call.
    if (size < kVirtioHeaderSize + kEthernetHeaderSize ||
        size > kVirtioHeaderSize + shape_.max_packet_size) {
      transfer.drops++;
      continue;
    }
    if (add(batch, i, outgoing_)) continue;
    flush(outgoing_, transfer);
    add(batch, i, outgoing_);
  }
  flush(outgoing_, transfer);
  return transfer;
}

void VmnetEndpoint::flush(Outgoing& out, Transfer& transfer) const {
  size_t next = 0;
  while (next < out.count) {
    int count = static_cast<int>(out.count - next);
    vmnet_return_t status = vmnet_write(interface_, &out.packets[next], &count);
    if (status != VMNET_SUCCESS && status != VMNET_BUFFER_EXHAUSTED) {
      write_each(out, next, transfer);
      break;
    }
    size_t written = status == VMNET_SUCCESS ? static_cast<size_t>(std::max(count, 0)) : 0;
    if (written > 0) transfer.batched_calls++;
    for (size_t end = std::min(next + written, out.count); next < end; next++) {
      transfer.bytes += out.packets[next].vm_pkt_size - header_size_;
      transfer.frames++;
    }
    if (next == out.count) break;
    if (out.waits++ >= kMaxRoomWaits) {
      transfer.drops += out.count - next;
      break;
    }
    std::this_thread::sleep_for(kRoomWait);
  }
  out.count = 0;
  out.bytes = 0;
  out.copied = 0;
}

// After a call that failed as a whole: the frame it was about is lost, the others are not.
void VmnetEndpoint::write_each(Outgoing& out, size_t first, Transfer& transfer) const {
  for (size_t i = first; i < out.count; i++) {
    int count = 1;
    if (vmnet_write(interface_, &out.packets[i], &count) == VMNET_SUCCESS && count == 1) {
      transfer.frames++;
      transfer.bytes += out.packets[i].vm_pkt_size - header_size_;
      transfer.single_calls++;
    } else {
      transfer.drops++;
    }
  }
}

}  // namespace vmnet
