// A started vmnet interface: its handle, and the queue that its callbacks run on.
#pragma once

#include <functional>
#include <memory>

#include <vmnet/vmnet.h>

#include "base/result.h"
#include "macos/interface_parameters.h"
#include "macos/serial_queue.h"
#include "macos/xpc_object.h"

namespace vmnet {

class VmnetInterface {
 public:
  // vmnet_start_interface(), or the same for a named network.
  using StartCall = std::function<interface_ref(xpc_object_t request, dispatch_queue_t queue,
                                                vmnet_start_interface_completion_handler_t)>;

  // ROOT: before macOS 26; what crosses to the system is `request` alone. Waits until the interface
  // is there, 30 s at most.
  static Result<std::unique_ptr<VmnetInterface>> start(const XpcObject& request,
                                                       const StartCall& call);
  VmnetInterface(const VmnetInterface&) = delete;
  VmnetInterface& operator=(const VmnetInterface&) = delete;
  // Stops it, if stop() has not.
  ~VmnetInterface() { stop(); }

  const InterfaceParameters& parameters() const { return parameters_; }
  interface_ref handle() const { return handle_; }

  // Has `callback` run on the interface's queue whenever frames have come: once until they are all
  // read, perhaps more often. It may run until stop() has returned.
  Status on_frames(std::function<void()> callback);

  // No callback runs after it, and the handle is no longer valid. Waits until vmnet has released
  // the interface, 10 s at most. One thread, when no other uses the handle.
  void stop();

 private:
  VmnetInterface(std::unique_ptr<SerialQueue> queue, interface_ref handle,
                 InterfaceParameters parameters)
      : queue_(std::move(queue)), handle_(handle), parameters_(parameters) {}

  std::unique_ptr<SerialQueue> queue_;
  interface_ref handle_;  // null once stopped
  InterfaceParameters parameters_;
};

}  // namespace vmnet
