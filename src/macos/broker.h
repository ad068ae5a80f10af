// vmnet-broker (github.com/nirs/vmnet-broker): a service that makes named networks, which the
// virtual machines of several programs share. macOS 26.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include <xpc/xpc.h>

#include "base/result.h"
#include "macos/serial_queue.h"
#include "macos/xpc_object.h"

namespace vmnet {

class BrokerConnection {
 public:
  // Asks for the network `name`; the broker makes it where it must. Waits 30 s at most. The network
  // stays as long as the connection does.
  static Result<std::unique_ptr<BrokerConnection>> acquire(const std::string& name);
  BrokerConnection(const BrokerConnection&) = delete;
  BrokerConnection& operator=(const BrokerConnection&) = delete;
  ~BrokerConnection();

  // What vmnet_network_create_with_serialization() takes.
  xpc_object_t serialization() const { return serialization_.get(); }

 private:
  explicit BrokerConnection(std::string name);

  Result<XpcObject> request(const std::string& name);

  std::string name_;
  SerialQueue queue_{"vmnet-helper.broker"};
  // Shared with the event handler, which runs once more after the connection is cancelled.
  std::shared_ptr<std::atomic<bool>> in_use_;
  xpc_connection_t connection_;
  XpcObject serialization_;
};

// A reply of the broker: `network`'s value, or what `error` means. Pure.
Result<XpcObject> read_broker_reply(xpc_object_t reply);

}  // namespace vmnet
