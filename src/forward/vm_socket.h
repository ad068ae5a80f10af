// The VM's end of the cable: an AF_UNIX socket that carries one Ethernet frame a datagram.
//
// Connected (--fd): one end of a socketpair. When the other end closes, the cable's life is over.
//
// Bound (--socket): waits at a path for its client. The first datagram of a permitted sender picks
// the client: the socket connects back to it, from when on the kernel turns everyone else away.
// When the client has gone the socket waits for the next.
//
// The data path loads the client's epoch once a batch; only the choice and the loss of a client
// take a lock.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "forward/stats.h"
#include "forward/vm_end.h"
#include "platform/datagrams.h"

namespace vmnet {

class VmSocket final : public VmEnd {
 public:
  // A datagram or SEQPACKET socket whose peer is the VM, for batches of at most `max_batch` frames.
  // What send() delivers or loses is counted in `replies`, which outlives the object.
  static Result<std::unique_ptr<VmSocket>> connected(UniqueFd socket, size_t max_batch,
                                                     DirectionStats& replies);

  // A bound datagram socket that serves clients of `permitted_uid` and of root. A client's relative
  // path resolves against the working directory.
  static Result<std::unique_ptr<VmSocket>> bound(UniqueFd socket, uid_t permitted_uid,
                                                 size_t max_batch, DirectionStats& replies);

  int ready_fd() const override { return socket_.get(); }

  // By one thread. Greetings (a first datagram too short for a frame) are taken and not counted.
  // `gone` only for a connected socket, and only where the kernel tells (SEQPACKET).
  Transfer read(ReceiveBatch& batch) override;

  // By one thread. Without a client all frames are dropped. A VM that does not read costs one
  // wait of kMaxWriteWait; from then on frames that find no room are dropped at once, until one
  // finds room again.
  Transfer write(const SendBatch& batch) override;

  // Any thread; never waits.
  void send(std::span<const uint8_t> frame) override;

  uint64_t epoch() const override { return epoch_.load(std::memory_order_acquire); }

  bool is_bound() const override { return permitted_uid_.has_value(); }
  ReadShape read_shape(size_t max_frame) const override {
    return {.slots = receiver_.max_batch(), .slot_size = max_frame};
  }
  Client client() const override;
  void client_gone(uint64_t epoch) override;
  const WakeUp& client_changed() const override { return client_changed_; }
  uint64_t refused() const override { return refused_.load(std::memory_order_relaxed); }
  std::string_view what_is_refused() const override {
    return "datagrams of others than the client";
  }

 private:
  VmSocket(UniqueFd socket, std::optional<uid_t> permitted_uid, size_t max_batch, WakeUp changed,
           DirectionStats& replies);

  static bool is_attached(uint64_t epoch) { return epoch % 2 == 1; }
  bool is_permitted(const Sender& sender) const;

  Transfer read_frames(ReceiveBatch& batch, uint64_t epoch);
  Transfer admit(ReceiveBatch& batch);
  bool attach(const Sender& sender);
  void detach();

  // One batch's write in progress.
  struct Writing {
    uint64_t epoch = 0;
    std::optional<std::chrono::steady_clock::time_point> deadline;  // of its waits, from the first
    int waits = 0;
    Transfer transfer;
  };
  // Sends frames [first, end), which are prepared. False: give the rest of the batch up.
  bool send_run(const SendBatch& batch, size_t first, size_t end, Writing& writing);
  bool wait_until_room(Writing& writing) const;

  UniqueFd socket_;
  const std::optional<uid_t> permitted_uid_;  // of a bound socket
  WakeUp client_changed_;
  DirectionStats& replies_;
  std::atomic<uint64_t> epoch_;
  std::atomic<uint64_t> refused_ = 0;

  mutable std::mutex client_mutex_;  // changes of epoch_, and what follows
  Sender client_;
  Sender unreachable_;
  int unreachable_errno_ = 0;

  // Of the reading thread.
  DatagramReceiver receiver_;
  IdentifiedReceiver identified_receiver_;
  bool filtering_ = false;  // what was queued before the connect may be someone else's

  // Of the writing thread.
  DatagramSender sender_;
  bool stalled_ = false;
};

}  // namespace vmnet
