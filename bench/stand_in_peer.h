// What stands behind the stand-in VM's network device: the socket or TAP of a contestant, each in
// the form that a VM monitor speaks to it.
//
// Blocking calls throughout: a VM whose way out is full waits, as a virtio queue does. One thread
// receives and one sends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace vmnet::bench {

// Memory for one batch of frames, each behind a virtio-net header.
class Frames {
 public:
  static constexpr size_t kHeader = 12;
  static constexpr size_t kCapacity = 64;

  // `max_frame` in bytes, without the header.
  explicit Frames(size_t max_frame);

  uint8_t* with_header(size_t index) { return memory_.data() + (index * stride_); }
  uint8_t* frame(size_t index) { return with_header(index) + kHeader; }
  size_t max_frame() const { return max_frame_; }

  size_t count = 0;
  size_t sizes[kCapacity] = {};  // without the header

 private:
  size_t max_frame_;
  size_t stride_;
  std::vector<uint8_t> memory_;
};

class Peer {
 public:
  Peer() = default;
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  virtual ~Peer() = default;

  // Waits for frames and takes what is there; false: the peer has gone.
  virtual bool receive(Frames& frames) = 0;
  // False: the peer has gone.
  virtual bool send(Frames& frames) = 0;
};

// A frame a datagram: vmnet-helper, and what speaks as it does.
std::unique_ptr<Peer> datagram_peer(UniqueFd socket);

// The same through a socket with a path, greeted as vfkit does.
Result<std::unique_ptr<Peer>> vfkit_peer(const std::string& path);

// Frames behind their length as 32 bits, big endian: QEMU's -netdev stream, passt.
std::unique_ptr<Peer> stream_peer(UniqueFd socket);

// A TAP, as QEMU's -netdev tap without vhost: a frame a call, virtio-net headers handed through.
// `offload`: what the VM's own device can.
Result<std::unique_ptr<Peer>> tap_peer(UniqueFd tap, bool offload);

}  // namespace vmnet::bench
