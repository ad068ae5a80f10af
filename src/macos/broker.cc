#include "macos/broker.h"

#include <array>
#include <chrono>
#include <future>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"

namespace vmnet {
namespace {

constexpr const char* kService = "com.github.nirs.vmnet-broker";
constexpr std::chrono::seconds kReplyWait{30};

// `error` of a reply, from 1 on.
constexpr auto kErrors = std::to_array<std::string_view>({
    "its XPC connection failed; try again",
    "it could not make a valid reply; is it of the same version as this system?",
    "this program is not allowed to use the network; see the broker's configuration",
    "it does not understand the request; update vmnet-broker or vmnet-helper",
    "there is no such network; see the broker's configuration",
    "it could not make the network; its addresses may be in use",
    "it failed inside; see its log",
});

std::string error_words(int64_t error) {
  if (error < 1 || error > static_cast<int64_t>(kErrors.size())) return "an error unknown to us";
  return std::string(kErrors.at(static_cast<size_t>(error - 1)));
}

}  // namespace

Result<XpcObject> read_broker_reply(xpc_object_t reply) {
  xpc_type_t type = xpc_get_type(reply);
  if (type == XPC_TYPE_ERROR) {
    return fail(
        fmt::format("vmnet-broker does not answer; install and start it (service {})", kService));
  }
  if (type != XPC_TYPE_DICTIONARY) return fail("vmnet-broker's reply is no dictionary");
  if (auto error = xpc_int64(reply, "error")) {
    return fail(fmt::format("vmnet-broker refuses (error {}): {}", *error, error_words(*error)));
  }
  xpc_object_t network = xpc_dictionary_get_value(reply, "network");
  if (network == nullptr) return fail("vmnet-broker's reply has no network in it");
  return XpcObject::retain(network);
}

Result<std::unique_ptr<BrokerConnection>> BrokerConnection::acquire(const std::string& name) {
  std::unique_ptr<BrokerConnection> broker(new BrokerConnection(name));
  auto serialization = broker->request(name);
  if (!serialization) {
    return fail(fmt::format("--network '{}': {}", name, serialization.error().message));
  }
  broker->serialization_ = std::move(*serialization);
  broker->in_use_->store(true);
  return broker;
}

BrokerConnection::BrokerConnection(std::string name)
    : name_(std::move(name)),
      in_use_(std::make_shared<std::atomic<bool>>(false)),
      connection_(xpc_connection_create_mach_service(kService, queue_.get(), 0)) {
  auto in_use = in_use_;
  std::string network = name_;
  xpc_connection_set_event_handler(connection_, ^(xpc_object_t event) {
    if (xpc_get_type(event) == XPC_TYPE_ERROR && in_use->load()) {
      log_warn("broker", "vmnet-broker has gone; network '{}' may go with it", network);
    }
  });
  xpc_connection_resume(connection_);
}

BrokerConnection::~BrokerConnection() {
  in_use_->store(false);
  xpc_connection_cancel(connection_);
  xpc_release(connection_);
}

Result<XpcObject> BrokerConnection::request(const std::string& name) {
  XpcObject message(xpc_dictionary_create(nullptr, nullptr, 0));
  xpc_dictionary_set_string(message.get(), "command", "acquire");
  xpc_dictionary_set_string(message.get(), "network_name", name.c_str());
  auto promise = std::make_shared<std::promise<Result<XpcObject>>>();
  auto reply = promise->get_future();
  xpc_connection_send_message_with_reply(connection_, message.get(), queue_.get(),
                                         ^(xpc_object_t answer) {
                                           promise->set_value(read_broker_reply(answer));
                                         });
  if (reply.wait_for(kReplyWait) != std::future_status::ready) {
    return fail(fmt::format("vmnet-broker has not answered in {} s; restart it (service {})",
                            kReplyWait.count(), kService));
  }
  return reply.get();
}

}  // namespace vmnet
