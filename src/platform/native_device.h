// The host's device in the VM's own hands (--tap): the kernel carries the frames, and what is left
// to the helper is to answer the VM's questions to the network and to see it end.
#pragma once

#include <cstdint>
#include <span>

#include "base/unique_fd.h"
#include "platform/frame_responder.h"

namespace vmnet {

// Sends answers to the VM as its FrameSink. One thread.
class NativeDevice : public FrameSink {
 public:
  // The device's descriptor, for the VM: the caller's from now on. Once.
  virtual UniqueFd take_descriptor() = 0;

  // Readable (poll) when next_request() has something; -1: nothing is ever asked.
  virtual int request_fd() const = 0;

  // The next frame of the VM that asks the network for something; empty: there is none now. Valid
  // until the next call. Does not wait.
  virtual std::span<const uint8_t> next_request() = 0;

  // Readable once the device is gone: the VM has closed it, or someone has deleted it.
  virtual int gone_fd() const = 0;
};

}  // namespace vmnet
