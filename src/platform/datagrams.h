// Batches of datagrams on an AF_UNIX socket: one header, a body per platform (recvmmsg and sendmmsg
// on Linux).
//
// No call waits unless it says so, and none touches O_NONBLOCK: the socket may be shared with the
// process it was inherited from. Memory for the kernel's message headers is allocated once, in the
// constructors. An object belongs to one thread; several objects may share a socket.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include "base/result.h"
#include "platform/frame_batch.h"

namespace vmnet {

struct Received {
  uint64_t bytes = 0;        // in the frames kept
  uint64_t drops = 0;        // datagrams taken and thrown away: too short, too long for a slot
  bool called = false;       // the call took datagrams (or the end of file)
  bool drained = false;      // it took all that was there
  bool end_of_file = false;  // SEQPACKET: the peer has closed. A datagram of length 0 is not that.
  int error = 0;             // errno other than "nothing there"
};

class DatagramReceiver {
 public:
  // At most `max_batch` datagrams a call.
  explicit DatagramReceiver(size_t max_batch);
  DatagramReceiver(const DatagramReceiver&) = delete;
  DatagramReceiver& operator=(const DatagramReceiver&) = delete;
  ~DatagramReceiver();

  size_t max_batch() const;

  // One system call: fills `batch` from its start with datagrams of `min_size` bytes to
  // batch.slot_size() bytes, without gaps. Descriptors sent along are closed by the kernel.
  Received receive(int fd, ReceiveBatch& batch, size_t min_size);

 private:
  struct Scratch;
  std::unique_ptr<Scratch> scratch_;
};

// Who sent a datagram.
struct Sender {
  sockaddr_un address{};
  socklen_t address_size = 0;
  std::optional<uid_t> uid;  // nothing on a platform whose kernel cannot tell
  pid_t pid = 0;             // in our pid namespace; 0: not known

  bool has_name() const { return address_size > offsetof(sockaddr_un, sun_path); }
  bool same_name(const Sender& other) const;
};

// Asks the kernel to tell the sender's uid and pid with each datagram that is sent from now on
// (SO_PASSCRED, unix(7)); or not to: it costs some per cent on each datagram. Does nothing on a
// platform without.
Status identify_senders(int fd, bool on);

// Receives datagrams together with who sent them: slower, for the choice of a client.
class IdentifiedReceiver {
 public:
  static constexpr size_t kMaxBatch = 16;

  struct Datagram {
    size_t size = 0;
    bool truncated = false;
    Sender sender;
  };

  IdentifiedReceiver();
  IdentifiedReceiver(const IdentifiedReceiver&) = delete;
  IdentifiedReceiver& operator=(const IdentifiedReceiver&) = delete;
  ~IdentifiedReceiver();

  // One system call: datagram i of the answer lies in batch.slot(i). The batch's count and sizes
  // are left to the caller. The answer's memory is valid until the next call; `error` as in
  // Received.
  std::span<const Datagram> receive(int fd, ReceiveBatch& batch, int& error);

 private:
  struct Scratch;
  std::unique_ptr<Scratch> scratch_;
};

// What a failed send means.
enum class SendFault {
  kNone,
  kFull,        // no room in a queue: later, perhaps
  kGone,        // the peer has closed
  kTurnedAway,  // the peer lives, but has connected to someone else
  kShut,        // the peer lives, but has shut this direction down
  kFrame,       // this frame cannot be sent (size, memory); others can
};

class DatagramSender {
 public:
  explicit DatagramSender(size_t max_batch);
  DatagramSender(const DatagramSender&) = delete;
  DatagramSender& operator=(const DatagramSender&) = delete;
  ~DatagramSender();

  size_t max_batch() const;

  // Prepares frames [first, first + count) of `batch`, count <= max_batch(); it must outlive the
  // sends.
  void prepare(const SendBatch& batch, size_t first, size_t count);

  struct Sent {
    size_t frames = 0;
    SendFault fault = SendFault::kNone;  // of the frame after those
  };
  // One system call: sends prepared frames from index `from` (0: the first prepared) up to `end`.
  Sent send(int fd, size_t from, size_t end);

 private:
  struct Scratch;
  std::unique_ptr<Scratch> scratch_;
};

// Sends one frame. Thread-safe.
SendFault send_datagram(int fd, std::span<const uint8_t> frame);

// Waits until a send that found no room is worth another try. `earlier_waits` of the same batch
// came before. False: not within `timeout`, or (macOS, where nothing tells of room) asked often
// enough.
bool wait_for_room(int fd, std::chrono::milliseconds timeout, int earlier_waits);

// Whether a receive error means that the peer has connected to someone else.
bool is_disconnect(int error);

// Raises the buffers of our own end to what suits the platform, where they are smaller. With
// privilege, to get past the system's limit for users; without, as far as that limit.
void raise_buffers(int fd);

// Connects a datagram socket to `sender`, so that the kernel turns everyone else away. False: it
// has gone, or we may not write to it, or it is connected to someone else.
bool connect_to(int fd, const Sender& sender);

// Whether it still is: the kernel dissolves the association where a send finds the peer closed.
bool is_connected(int fd);

// Dissolves the association of a connected datagram socket; what its peer had sent is discarded.
void disconnect(int fd);

}  // namespace vmnet
