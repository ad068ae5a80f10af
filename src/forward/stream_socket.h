// The VM's end of the cable as an AF_UNIX stream: frames one behind the other, each behind its
// length (QEMU's -netdev stream, krunkit's unixstream, the clients of socket_vmnet).
//
// Connected (--fd): when the other end closes, the cable's life is over.
//
// Listening (--socket): one client at a time. Main accepts (accept_clients()), the reading thread
// sees the client's end and closes. Who comes while a client lives is closed at once; who comes
// when it has closed, but not all it wrote is read, waits for that.
//
// One lock guards what is written: by the writing thread and, for replies, by the reading one. It
// is held for a system call that does not wait, never during a wait.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "forward/stats.h"
#include "forward/stream_extractor.h"
#include "forward/stream_sender.h"
#include "forward/vm_end.h"
#include "platform/stream_clients.h"

namespace vmnet {

class StreamSocket final : public VmEnd {
 public:
  // A stream socket whose peer is the VM, for frames of at most `max_frame` bytes, tags included.
  // What send() delivers or loses is counted in `replies`, which outlives the object.
  static Result<std::unique_ptr<StreamSocket>> connected(UniqueFd socket, size_t max_frame,
                                                         DirectionStats& replies);

  // A listening one, which does not block; it serves clients of `permitted_uid` and of root.
  static Result<std::unique_ptr<StreamSocket>> listening(UniqueFd socket, uid_t permitted_uid,
                                                         size_t max_frame, DirectionStats& replies);

  int ready_fd() const override;

  // By one thread. The frames lie in memory of this object until the next read. `gone` only for a
  // connected socket: its peer has closed, or sent a length above the maximum (client().fault).
  Transfer read(ReceiveBatch& batch) override;

  // By one thread. Without a client all frames are dropped. A VM that does not read costs one
  // wait of kMaxWriteWait; from then on frames that find no room are dropped at once, whole, until
  // one finds room again.
  Transfer write(const SendBatch& batch) override;

  // Any thread; never waits.
  void send(std::span<const uint8_t> frame) override;

  uint64_t epoch() const override { return epoch_.load(std::memory_order_acquire); }

  bool is_bound() const override { return permitted_uid_.has_value(); }
  ReadShape read_shape(size_t /*max_frame*/) const override {
    return {.slots = StreamExtractor::kMaxFrames, .slot_size = 0};
  }
  Client client() const override;
  void client_gone(uint64_t /*epoch*/) override {}  // the reading thread sees that
  const WakeUp& client_changed() const override { return client_changed_; }
  uint64_t refused() const override { return refused_.load(std::memory_order_relaxed); }
  std::string_view what_is_refused() const override {
    return "connections beside the client's, or of other users";
  }
  int admission_fd() const override;
  void accept_clients() override;

 private:
  StreamSocket(UniqueFd listener, UniqueFd client, std::optional<uid_t> permitted_uid,
               size_t max_frame, WakeUp arrived, WakeUp changed, DirectionStats& replies);

  void extract(ReceiveBatch& batch, Transfer& transfer);
  void end_client(Transfer& transfer);
  enum class State { kNone, kEnding, kAlive };
  State client_state() const;
  void attach(UniqueFd socket, pid_t pid);
  bool wait_for_room(std::unique_lock<std::mutex>& lock,
                     std::chrono::steady_clock::time_point deadline) const;

  const size_t max_frame_;
  UniqueFd listener_;
  const std::optional<uid_t> permitted_uid_;  // of a listening socket
  WakeUp arrived_;                            // a client, for the reading thread
  WakeUp client_changed_;
  DirectionStats& replies_;
  std::atomic<uint64_t> refused_ = 0;

  std::atomic<uint64_t> epoch_;

  mutable std::mutex mutex_;  // changes of epoch_, and what follows
  UniqueFd client_;
  pid_t pid_ = 0;
  std::string fault_;
  uint64_t faults_ = 0;
  StreamSender sender_;
  bool stalled_ = false;

  // Of the reading thread.
  int reading_ = -1;  // client_, as long as this thread has not ended it
  StreamExtractor extractor_;

  // Of main's thread.
  std::optional<StreamClient> next_;  // came when the client had closed, which is not seen yet
  bool cannot_accept_ =
      false;  // for lack of something: not asked for before the next accept_clients()
};

}  // namespace vmnet
