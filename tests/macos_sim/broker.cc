// XPC connections, whose only service is a vmnet-broker that answers as the test says.
#include <atomic>
#include <chrono>
#include <thread>

#include <Block.h>

#include "dispatch.h"
#include "rules.h"
#include "settings.h"
#include "xpc_objects.h"

using namespace macos_sim;

namespace {

struct Connection : Object {
  explicit Connection(dispatch_queue_t connection_queue)
      : Object(XPC_TYPE_CONNECTION, std::monostate()), queue(connection_queue) {}
  ~Connection() override {
    require(cancelled || !resumed, "the last reference to a connection that is not cancelled");
    if (handler != nullptr) Block_release(handler);
  }

  dispatch_queue_t queue;
  xpc_handler_t handler = nullptr;
  bool resumed = false;
  std::atomic<bool> cancelled = false;
};

Connection* require_connection(xpc_connection_t connection) {
  return static_cast<Connection*>(require_object(connection, XPC_TYPE_CONNECTION));
}

bool text_is(xpc_object_t message, const char* key, const char* text) {
  xpc_object_t value = xpc_dictionary_get_value(message, key);
  return value != nullptr && std::string(xpc_string_get_string_ptr(value)) == text;
}

Object* broker_reply(xpc_object_t message) {
  std::string mode = setting("broker", "ok");
  if (mode == "absent") return new_error();
  if (mode == "list") return new_array({"not", "a", "dictionary"});
  auto* reply = static_cast<Object*>(xpc_dictionary_create(nullptr, nullptr, 0));
  if (mode == "empty") return reply;
  if (mode.starts_with("error:")) {
    xpc_dictionary_set_int64(reply, "error", std::stoll(mode.substr(6)));
  } else if (!text_is(message, "command", "acquire")) {
    xpc_dictionary_set_int64(reply, "error", 4);
  } else if (!text_is(message, "network_name", "default")) {
    xpc_dictionary_set_int64(reply, "error", 5);
  } else {
    give(reply, "network", new_string("serialization of default"));
  }
  return reply;
}

}  // namespace

xpc_connection_t xpc_connection_create_mach_service(const char* name, dispatch_queue_t queue,
                                                    uint64_t flags) {
  require_queue(queue);
  require(std::string(name) == "com.github.nirs.vmnet-broker" && flags == 0, "an unknown service");
  return reinterpret_cast<xpc_connection_t>(static_cast<Object*>(new Connection(queue)));
}

void xpc_connection_set_event_handler(xpc_connection_t connection, xpc_handler_t handler) {
  Connection* c = require_connection(connection);
  require(c->handler == nullptr && !c->resumed, "an event handler that comes too late");
  c->handler = Block_copy(handler);
}

void xpc_connection_resume(xpc_connection_t connection) {
  Connection* c = require_connection(connection);
  require(c->handler != nullptr && !c->resumed, "a connection without handler, or resumed twice");
  c->resumed = true;
}

void xpc_connection_cancel(xpc_connection_t connection) {
  Connection* c = require_connection(connection);
  require(!c->cancelled.exchange(true), "a connection cancelled twice");
  xpc_retain(connection);
  dispatch_async(c->queue, ^{
    Object* invalid = new_error();
    c->handler(invalid);
    xpc_release(invalid);
    xpc_release(connection);
  });
}

void xpc_connection_send_message_with_reply(xpc_connection_t connection, xpc_object_t message,
                                            dispatch_queue_t queue, xpc_handler_t handler) {
  Connection* c = require_connection(connection);
  require(c->resumed && !c->cancelled, "a message on a connection that is not running");
  require_queue(queue);
  Object* reply = broker_reply(message);
  dispatch_async(queue, ^{
    handler(reply);
    xpc_release(reply);
  });
  if (setting("broker") == "gone") {
    xpc_retain(connection);
    dispatch_async(c->queue, ^{
      // When the network is in use.
      std::this_thread::sleep_for(std::chrono::milliseconds(300));
      Object* interrupted = new_error();
      c->handler(interrupted);
      xpc_release(interrupted);
      xpc_release(connection);
    });
  }
}
