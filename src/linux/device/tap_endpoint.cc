#include <algorithm>
#include <cerrno>
#include <cstring>

#include <linux/if.h>
#include <linux/if_arp.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "linux/device/tap.h"

namespace vmnet {
namespace {

// A batch of large frames ends here, so that they are still in the processor's cache when they are
// sent on: three of 64 KiB. Small ones fill the batch.
constexpr uint64_t kReadBytes = 160 << 10;

constexpr size_t kSourceMacOffset = 12 + 6;  // behind the virtio-net header and the destination

// The source MAC of frame `index`, whichever parts it lies in.
Mac source_mac(const SendBatch& batch, size_t index) {
  Mac mac;
  size_t at = 0;  // offset of the current part in the frame
  for (const iovec& part : batch.parts_of(index)) {
    const auto* bytes = static_cast<const uint8_t*>(part.iov_base);
    size_t first = std::max(at, kSourceMacOffset);
    size_t last = std::min(at + part.iov_len, kSourceMacOffset + mac.bytes.size());
    if (first < last) {
      std::copy(bytes + (first - at), bytes + (last - at),
                mac.bytes.begin() + static_cast<ptrdiff_t>(first - kSourceMacOffset));
    }
    at += part.iov_len;
    if (at >= kSourceMacOffset + mac.bytes.size()) break;
  }
  return mac;
}

}  // namespace

Transfer TapEndpoint::read(ReceiveBatch& batch) {
  Transfer transfer;
  size_t count = 0;
  while (count < batch.capacity() && transfer.bytes < kReadBytes) {
    auto slot = batch.slot(count);
    ssize_t size = ::read(fd_.get(), slot.data(), slot.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) {
      // EBADFD: the device was deleted under us. Other errors pass: the device is down.
      transfer.gone = errno == EBADFD || errno == ENODEV;
      transfer.drained = true;
      break;
    }
    transfer.single_calls++;
    transfer.bytes += static_cast<uint64_t>(size);
    batch.set_size(count++, static_cast<size_t>(size));
  }
  batch.set_count(count);
  transfer.frames = count;
  return transfer;
}

Transfer TapEndpoint::write(const SendBatch& batch) {
  Transfer transfer;
  for (size_t i = 0; i < batch.count(); i++) {
    auto parts = batch.parts_of(i);
    if (write_frame(parts, transfer)) continue;
    int error = errno;
    if (error == EINVAL && unmerger_.load(parts)) {
      for (size_t j = 0; j < unmerger_.count(); j++) {
        if (!write_frame(unmerger_.segment(j), transfer)) transfer.drops++;
      }
      continue;
    }
    transfer.drops++;
    transfer.gone = transfer.gone || error == EBADFD || error == ENODEV;
  }
  return transfer;
}

bool TapEndpoint::write_frame(std::span<const iovec> parts, Transfer& transfer) {
  ssize_t size = 0;
  do {
    // The kernel imports no list of parts for a write(), and most frames are of one.
    size = parts.size() == 1 ? ::write(fd_.get(), parts[0].iov_base, parts[0].iov_len)
                             : ::writev(fd_.get(), parts.data(), static_cast<int>(parts.size()));
  } while (size < 0 && errno == EINTR);
  transfer.single_calls++;
  if (size < 0) return false;
  transfer.frames++;
  transfer.bytes += static_cast<uint64_t>(size);
  return true;
}

Transfer MacvtapEndpoint::write(const SendBatch& batch) {
  for (size_t i = 0; i < batch.count(); i++) {
    Mac source = source_mac(batch, i);
    if (source != mac_) follow(source);
  }
  return TapEndpoint::write(batch);
}

void MacvtapEndpoint::follow(const Mac& source) {
  if (source.is_multicast() || source.is_zero()) return;
  ifreq request{};
  request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
  std::memcpy(request.ifr_hwaddr.sa_data, source.bytes.data(), source.bytes.size());
  // Needs no privilege through the device's own descriptor. A MAC that another device has is
  // refused (EADDRINUSE, EBUSY); the frames go out all the same, the answers do not come here.
  if (::ioctl(ready_fd(), SIOCSIFHWADDR, &request) == 0) mac_ = source;
}

}  // namespace vmnet
