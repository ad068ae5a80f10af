// The host's end of the cable on macOS: frames of a vmnet interface.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include <sys/uio.h>
#include <vmnet/vmnet.h>

#include "forward/wake_up.h"
#include "macos/interface_parameters.h"
#include "platform/endpoint.h"

namespace vmnet {

// Says when there are frames. Raised by vmnet's callback, on its queue; lowered by the reader.
class FrameFlag {
 public:
  static Result<std::shared_ptr<FrameFlag>> create();

  int fd() const { return wake_up_.fd(); }

  // Any thread.
  void raise();

  // By the reader, before it reads: what comes from now on is news.
  void expect_news() { news_.store(false); }
  // By the reader, when there was nothing to read: lowers the flag, but for news.
  void drained();

 private:
  explicit FrameFlag(WakeUp wake_up) : wake_up_(std::move(wake_up)) {}

  WakeUp wake_up_;
  std::atomic<bool> news_ = false;
};

class VmnetEndpoint : public Endpoint {
 public:
  struct Shape {
    bool virtio_header = false;                // before vmnet's frames; else it is added here
    size_t max_packet_size = 0;                // of a frame without header
    std::optional<uint64_t> read_max_packets;  // what vmnet reports
    std::optional<uint64_t> write_max_packets;
  };

  // `interface` stays valid while frames move. The slots that read() is given hold
  // `max_packet_size` bytes behind the header of 12, at least.
  VmnetEndpoint(interface_ref interface, const Shape& shape, std::shared_ptr<FrameFlag> flag);

  int ready_fd() const override { return flag_->fd(); }
  Transfer read(ReceiveBatch& batch) override;
  Transfer write(const SendBatch& batch) override;

 private:
  // Packets on their way out, each one iovec: vmnet refuses more.
  struct Outgoing {
    std::vector<vmpktdesc> packets;
    std::vector<iovec> parts;
    std::vector<uint8_t> copies;  // of frames that came in several parts
    size_t count = 0;
    size_t bytes = 0;
    size_t copied = 0;
    int waits = 0;  // for room, of the whole batch
  };

  size_t read_limit(const ReceiveBatch& batch) const;
  bool add(const SendBatch& batch, size_t index, Outgoing& out) const;
  void flush(Outgoing& out, Transfer& transfer) const;
  void write_each(Outgoing& out, size_t first, Transfer& transfer) const;

  interface_ref interface_;
  Shape shape_;
  size_t header_size_;    // of what vmnet reads and writes
  size_t write_packets_;  // at most, a call
  std::shared_ptr<FrameFlag> flag_;
  std::vector<vmpktdesc> read_packets_;
  std::vector<iovec> read_parts_;
  Outgoing outgoing_;
};

}  // namespace vmnet
