#include "macos/vmnet_interface.h"

#include <chrono>
#include <future>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "macos/vmnet_status.h"

namespace vmnet {
namespace {

// The first network of a system takes seconds; a stop less than one.
constexpr std::chrono::seconds kStartWait{30};
constexpr std::chrono::seconds kStopWait{10};
// A start that was refused at once may say why through its handler, or not.
constexpr std::chrono::seconds kReasonWait{1};

struct StartAnswer {
  vmnet_return_t status = VMNET_FAILURE;
  Result<InterfaceParameters> parameters;
};

StartAnswer read_answer(vmnet_return_t status, xpc_object_t parameters) {
  if (status != VMNET_SUCCESS) return {.status = status, .parameters = InterfaceParameters{}};
  log_debug("vmnet", "started: {}", describe_dictionary(parameters));
  return {.status = status, .parameters = read_parameters(parameters)};
}

}  // namespace

Result<std::unique_ptr<VmnetInterface>> VmnetInterface::start(const XpcObject& request,
                                                              const StartCall& call) {
  auto queue = std::make_unique<SerialQueue>("vmnet-helper.interface");
  // Shared with the handler, which may come after we have given up waiting.
  auto promise = std::make_shared<std::promise<StartAnswer>>();
  auto answer = promise->get_future();
  interface_ref handle =
      call(request.get(), queue->get(), ^(vmnet_return_t status, xpc_object_t parameters) {
        promise->set_value(read_answer(status, parameters));
      });
  bool answered =
      answer.wait_for(handle == nullptr ? kReasonWait : kStartWait) == std::future_status::ready;
  if (!answered && handle != nullptr) {
    return fail(
        fmt::format("vmnet has not started the interface in {} s; try again, and restart "
                    "the system if that does not help",
                    kStartWait.count()));
  }
  StartAnswer given = answered ? answer.get() : StartAnswer{};
  if (given.status != VMNET_SUCCESS || handle == nullptr) {
    return fail_vmnet("cannot start a vmnet interface",
                      given.status == VMNET_SUCCESS ? VMNET_FAILURE : given.status);
  }
  std::unique_ptr<VmnetInterface> interface(new VmnetInterface(
      std::move(queue), handle, given.parameters.value_or(InterfaceParameters{})));
  if (!given.parameters) return pass(given.parameters);
  return interface;
}

// By value: a block copies values, but of a reference it copies no more than that.
// NOLINTNEXTLINE(performance-unnecessary-value-param)
Status VmnetInterface::on_frames(std::function<void()> callback) {
  vmnet_return_t status =
      vmnet_interface_set_event_callback(handle_, VMNET_INTERFACE_PACKETS_AVAILABLE, queue_->get(),
                                         ^(interface_event_t /*event*/, xpc_object_t /*details*/) {
                                           callback();
                                         });
  if (status != VMNET_SUCCESS) return fail_vmnet("cannot wait for vmnet's frames", status);
  return {};
}

void VmnetInterface::stop() {
  if (handle_ == nullptr) return;
  interface_ref handle = std::exchange(handle_, nullptr);
  // Else a callback may still run while the interface stops.
  vmnet_interface_set_event_callback(handle, VMNET_INTERFACE_PACKETS_AVAILABLE, nullptr, nullptr);
  auto promise = std::make_shared<std::promise<vmnet_return_t>>();
  auto stopped = promise->get_future();
  vmnet_return_t status = vmnet_stop_interface(handle, queue_->get(), ^(vmnet_return_t result) {
    promise->set_value(result);
  });
  if (status == VMNET_SUCCESS) {
    if (stopped.wait_for(kStopWait) != std::future_status::ready) {
      log_warn("vmnet", "the interface has not stopped in {} s", kStopWait.count());
      return;
    }
    status = stopped.get();
  }
  if (status != VMNET_SUCCESS) {
    log_warn("vmnet", "cannot stop the interface: {}", vmnet_status_text(status, true));
  }
}

}  // namespace vmnet
