// vmnet.framework: one interface a process, with the API's rules.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>

#include <Block.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>
#include <vmnet/vmnet.h>

#include "bridge.h"
#include "dispatch.h"
#include "rules.h"
#include "settings.h"
#include "xpc_objects.h"

using namespace macos_sim;

extern "C" {
// Declared first: a constant alone would not be exported.
#define KEY(name)                              \
  extern const char* const vmnet_##name##_key; \
  const char* const vmnet_##name##_key = "vmnet_" #name
KEY(operation_mode);
KEY(interface_id);
KEY(shared_interface_name);
KEY(start_address);
KEY(end_address);
KEY(subnet_mask);
KEY(enable_isolation);
KEY(enable_tso);
KEY(enable_checksum_offload);
KEY(enable_virtio_header);
KEY(allocate_mac_address);
KEY(mac_address);
KEY(mtu);
KEY(max_packet_size);
KEY(nat66_prefix);
KEY(network_identifier);
KEY(host_ip_address);
KEY(host_subnet_mask);
KEY(read_max_packets);
KEY(write_max_packets);
#undef KEY
}

struct vmnet_interface {
  std::mutex mutex;
  bool running = true;
  bool header = false;
  size_t max_packet = 1514;
  uint64_t reported = 0;
  uint32_t gateway = 0xc0a84001;
  std::deque<Frame> to_vm;
  int full_writes = 0;  // in a row
  bool armed = true;    // the next frame is told of: the reader has seen that there was none
  dispatch_queue_t queue = nullptr;
  vmnet_interface_event_callback_t callback = nullptr;
};

namespace {

constexpr size_t kHeaderSize = 12;
constexpr size_t kByteLimit = 256 * 1024;

std::atomic<int> running_interfaces = 0;
std::atomic<int> merged_packets = 0;  // that were written
std::atomic<int> batched_writes = 0;  // of more than one packet

void check_exit() {
  require(running_interfaces == 0, "the program has ended with its interface running");
  require_no_objects();
  require(setting("expect") != "merged" || merged_packets > 0, "the test expects merged segments");
  require(setting("expect") != "batch" || batched_writes > 0, "the test expects batched writes");
}

[[maybe_unused]] const int registered = std::atexit(check_exit);

bool flag(xpc_object_t request, const char* key) {
  xpc_object_t value = xpc_dictionary_get_value(request, key);
  return value != nullptr && std::get<bool>(require_object(value, XPC_TYPE_BOOL)->value);
}

std::string text(xpc_object_t request, const char* key) {
  xpc_object_t value = xpc_dictionary_get_value(request, key);
  return value == nullptr ? "" : xpc_string_get_string_ptr(value);
}

Object* parameters_of(const vmnet_interface& interface, xpc_object_t request) {
  auto* answer = static_cast<Object*>(xpc_dictionary_create(nullptr, nullptr, 0));
  std::string shape = setting("params");
  if (shape == "none") return answer;
  if (xpc_object_t id = xpc_dictionary_get_value(request, vmnet_interface_id_key)) {
    xpc_dictionary_set_value(answer, vmnet_interface_id_key, id);
    const uint8_t* bytes = xpc_uuid_get_bytes(id);
    char mac[18];
    std::snprintf(mac, sizeof(mac), "02:%02x:%02x:%02x:%02x:%02x", bytes[0], bytes[1], bytes[2],
                  bytes[3], bytes[4]);
    xpc_dictionary_set_string(answer, vmnet_mac_address_key, mac);
  }
  xpc_dictionary_set_uint64(answer, vmnet_mtu_key, 1500);
  uint64_t size = interface.max_packet;
  if (shape == "small") size = 4;
  if (shape == "huge") size = 1 << 20;
  xpc_dictionary_set_uint64(answer, vmnet_max_packet_size_key, size);
  if (interface.reported > 0) {
    xpc_dictionary_set_uint64(answer, vmnet_read_max_packets_key, interface.reported);
    xpc_dictionary_set_uint64(answer, vmnet_write_max_packets_key, interface.reported);
  }
  xpc_object_t mode = xpc_dictionary_get_value(request, vmnet_operation_mode_key);
  if (mode == nullptr || xpc_uint64_get_value(mode) == VMNET_BRIDGED_MODE) return answer;
  bool host = xpc_uint64_get_value(mode) == VMNET_HOST_MODE;
  if (xpc_dictionary_get_value(request, vmnet_network_identifier_key) != nullptr) {
    require(host, "a network id outside host mode");
    std::string address = text(request, vmnet_host_ip_address_key);
    if (address.empty()) return answer;
    xpc_dictionary_set_string(answer, vmnet_start_address_key, address.c_str());
    xpc_dictionary_set_string(answer, vmnet_end_address_key, address.c_str());
    xpc_dictionary_set_string(answer, vmnet_subnet_mask_key,
                              text(request, vmnet_host_subnet_mask_key).c_str());
    return answer;
  }
  std::string start = text(request, vmnet_start_address_key);
  std::string prefix = host ? "192.168.128." : "192.168.64.";
  std::string end = text(request, vmnet_end_address_key);
  std::string mask = text(request, vmnet_subnet_mask_key);
  auto set = [&](const char* key, const std::string& given, const std::string& otherwise) {
    xpc_dictionary_set_string(answer, key, (given.empty() ? otherwise : given).c_str());
  };
  set(vmnet_start_address_key, start, prefix + "1");
  set(vmnet_end_address_key, end, prefix + "254");
  set(vmnet_subnet_mask_key, mask, "255.255.255.0");
  if (!host && setting("nat66") != "0") {
    xpc_dictionary_set_string(answer, vmnet_nat66_prefix_key, "fd6e:1:2:3::");
  }
  return answer;
}

uint32_t start_status(xpc_object_t request) {
  if (uint32_t fault = next_fault("start.status")) return fault;
  // There is no macOS 16: it is what 26 calls itself towards old programs.
  bool old = std::atoi(setting("version", "26.0").c_str()) < 16;
  if (old && ::geteuid() != 0) return VMNET_NOT_AUTHORIZED;
  bool header = flag(request, vmnet_enable_virtio_header_key);
  if (header && flag(request, vmnet_enable_checksum_offload_key)) return VMNET_INVALID_ARGUMENT;
  return VMNET_SUCCESS;
}

// Never freed: the use of one that was stopped is a broken rule, not a crash.
vmnet_interface* new_interface() {
  static auto* interfaces = new std::deque<vmnet_interface>;
  return &interfaces->emplace_back();
}

interface_ref start(xpc_object_t request, dispatch_queue_t queue,
                    vmnet_start_interface_completion_handler_t handler) {
  require_object(request, XPC_TYPE_DICTIONARY);
  require_queue(queue);
  std::string fault = setting("start");
  if (fault == "null") return nullptr;
  uint32_t status = fault == "null_status" ? VMNET_SHARING_SERVICE_BUSY : start_status(request);
  if (status != VMNET_SUCCESS) {
    dispatch_async(queue, ^{
      handler(status, nullptr);
    });
    // A refused interface is never valid; the framework hands one out all the same at times.
    static vmnet_interface refused;
    refused.running = false;
    return fault == "null_status" ? nullptr : &refused;
  }
  vmnet_interface* interface = new_interface();
  interface->header = flag(request, vmnet_enable_virtio_header_key);
  if (flag(request, vmnet_enable_tso_key)) interface->max_packet = 65550;
  interface->reported = number_setting("reported", 256);
  xpc_object_t mode = xpc_dictionary_get_value(request, vmnet_operation_mode_key);
  bool host = mode != nullptr && xpc_uint64_get_value(mode) == VMNET_HOST_MODE;
  if (host) interface->gateway = 0xc0a88001;
  std::string address = text(request, vmnet_start_address_key);
  in_addr gateway{};
  if (::inet_pton(AF_INET, address.c_str(), &gateway) == 1) {
    interface->gateway = ntohl(gateway.s_addr);
  }
  running_interfaces++;
  Object* parameters = parameters_of(*interface, request);
  dispatch_async(queue, ^{
    handler(VMNET_SUCCESS, parameters);
    xpc_release(parameters);
  });
  return interface;
}

// With the interface's mutex held.
void tell(vmnet_interface& interface) {
  if (!interface.armed || interface.callback == nullptr || interface.to_vm.empty()) return;
  interface.armed = false;
  vmnet_interface_event_callback_t callback = Block_copy(interface.callback);
  dispatch_async(interface.queue, ^{
    callback(VMNET_INTERFACE_PACKETS_AVAILABLE, nullptr);
    Block_release(callback);
  });
}

void require_packets(const vmnet_interface& interface, const vmpktdesc* packets, int count) {
  require(interface.running, "a read or write of an interface that is stopped");
  size_t limit = interface.reported > 0 ? interface.reported : 200;
  require(count > 0 && static_cast<size_t>(count) <= limit, "more packets than vmnet takes a call");
  for (int i = 0; i < count; i++) {
    require(packets[i].vm_pkt_iovcnt == 1, "a packet of more than one iovec");
    require(packets[i].vm_flags == 0, "packet flags");
  }
}

void take_packet(vmnet_interface& interface, const vmpktdesc& packet) {
  auto* bytes = static_cast<const uint8_t*>(packet.vm_pkt_iov->iov_base);
  std::span<const uint8_t> frame(bytes, packet.vm_pkt_size);
  if (interface.header) frame = frame.subspan(kHeaderSize);
  // What the station sends back keeps its header: a merged segment comes back as one.
  Frame header(interface.header ? kHeaderSize : 0, 0);
  if (interface.header && goes_to_station(frame)) std::copy_n(bytes, kHeaderSize, header.begin());
  if (interface.header && bytes[1] != 0) merged_packets++;
  for (Frame& answer : bridge_answers(frame, interface.gateway)) {
    answer.insert(answer.begin(), header.begin(), header.end());
    interface.to_vm.push_back(std::move(answer));
  }
}

}  // namespace

interface_ref vmnet_start_interface(xpc_object_t request, dispatch_queue_t queue,
                                    vmnet_start_interface_completion_handler_t handler) {
  require(xpc_dictionary_get_value(request, vmnet_operation_mode_key) != nullptr, "no mode");
  return start(request, queue, handler);
}

vmnet_return_t vmnet_interface_set_event_callback(interface_ref interface, interface_event_t mask,
                                                  dispatch_queue_t queue,
                                                  vmnet_interface_event_callback_t callback) {
  require(mask == VMNET_INTERFACE_PACKETS_AVAILABLE, "an unknown event");
  if (callback != nullptr) require_queue(queue);
  std::scoped_lock lock(interface->mutex);
  require(interface->running, "a callback for an interface that is stopped");
  if (callback != nullptr) {
    if (uint32_t fault = next_fault("callback.status")) return fault;
  }
  if (interface->callback != nullptr) Block_release(interface->callback);
  interface->callback = nullptr;
  if (callback != nullptr) interface->callback = Block_copy(callback);
  interface->queue = queue;
  tell(*interface);
  return VMNET_SUCCESS;
}

vmnet_return_t vmnet_stop_interface(interface_ref interface, dispatch_queue_t queue,
                                    vmnet_interface_completion_handler_t handler) {
  require_queue(queue);
  {
    std::scoped_lock lock(interface->mutex);
    require(interface->running, "an interface stopped twice");
    require(interface->callback == nullptr, "an interface stopped with its callback in place");
    interface->running = false;
  }
  uint32_t refused = next_fault("stop.status");
  if (refused != 0) {
    running_interfaces--;
    return refused;
  }
  // Slowly: a program that does not wait for the handler ends with the interface running. Not by
  // usleep(), which the signals of a change of ids (nptl(7)) cut short.
  dispatch_async(queue, ^{
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    running_interfaces--;
    uint32_t fault = next_fault("stop_handler.status");
    handler(fault == 0 ? VMNET_SUCCESS : fault);
  });
  return VMNET_SUCCESS;
}

vmnet_return_t vmnet_read(interface_ref interface, vmpktdesc* packets, int* count) {
  std::scoped_lock lock(interface->mutex);
  require_packets(*interface, packets, *count);
  size_t size = interface->max_packet + (interface->header ? kHeaderSize : 0);
  size_t room = 0;
  for (int i = 0; i < *count; i++) {
    require(packets[i].vm_pkt_size >= size && packets[i].vm_pkt_iov->iov_len >= size,
            "a slot that is not set to the largest packet");
    room += packets[i].vm_pkt_size;
  }
  bool limited = interface->reported == 0 && setting("limit_bytes") != "0";
  require(!limited || room <= kByteLimit, "a read of more than 256 KiB");
  if (uint32_t fault = next_fault("read.status")) return fault;
  int taken = 0;
  for (; taken < *count && !interface->to_vm.empty(); taken++) {
    const Frame& frame = interface->to_vm.front();
    std::memcpy(packets[taken].vm_pkt_iov->iov_base, frame.data(), frame.size());
    packets[taken].vm_pkt_size = frame.size();
    packets[taken].vm_pkt_iov->iov_len = frame.size();
    interface->to_vm.pop_front();
  }
  if (taken == 0) interface->armed = true;
  *count = taken;
  return VMNET_SUCCESS;
}

vmnet_return_t vmnet_write(interface_ref interface, vmpktdesc* packets, int* count) {
  std::scoped_lock lock(interface->mutex);
  require_packets(*interface, packets, *count);
  size_t header = interface->header ? kHeaderSize : 0;
  size_t bytes = 0;
  for (int i = 0; i < *count; i++) {
    require(packets[i].vm_pkt_iov->iov_len == packets[i].vm_pkt_size,
            "an iov_len that is not the packet's size");
    bytes += packets[i].vm_pkt_size;
    if (packets[i].vm_pkt_size > interface->max_packet + header) return VMNET_PACKET_TOO_BIG;
    require(packets[i].vm_pkt_size >= header + 14, "a packet that is no frame");
  }
  require(bytes <= kByteLimit || setting("limit_bytes") == "0", "a write of more than 256 KiB");
  if (uint32_t fault = next_fault("write.status")) {
    require(++interface->full_writes <= kMaxTries, "a write that is tried too often");
    return fault;
  }
  interface->full_writes = 0;
  if (*count > 1 && next_fault("write.partial") != 0) *count /= 2;
  if (*count > 1) batched_writes++;
  for (int i = 0; i < *count; i++) take_packet(*interface, packets[i]);
  tell(*interface);
  return VMNET_SUCCESS;
}

xpc_object_t vmnet_copy_shared_interface_list(void) {
  return new_array(list_setting("shared", "en0,bridge0"));
}

// macOS 26. vmnet_network_ref is a pointer to the network's name.
extern "C" {

void* vmnet_network_create_with_serialization(xpc_object_t serialization, vmnet_return_t* status) {
  require_object(serialization, XPC_TYPE_STRING);
  uint32_t fault = next_fault("network.status");
  *status = fault == 0 ? static_cast<uint32_t>(VMNET_SUCCESS) : fault;
  static int network;
  return fault == 0 ? &network : nullptr;
}

interface_ref vmnet_interface_start_with_network(
    void* network, xpc_object_t request, dispatch_queue_t queue,
    vmnet_start_interface_completion_handler_t handler) {
  require(network != nullptr, "no network");
  require(xpc_dictionary_get_value(request, vmnet_operation_mode_key) == nullptr,
          "a mode for a named network");
  interface_ref interface = start(request, queue, handler);
  if (interface != nullptr) interface->gateway = 0xc0a84d01;
  return interface;
}

void vmnet_network_get_ipv4_subnet(void* /*network*/, in_addr* subnet, in_addr* mask) {
  ::inet_pton(AF_INET, "192.168.77.0", subnet);
  ::inet_pton(AF_INET, "255.255.255.0", mask);
}

void vmnet_network_get_ipv6_prefix(void* /*network*/, in6_addr* prefix, uint8_t* length) {
  ::inet_pton(AF_INET6, "fd77::", prefix);
  *length = 64;
}
}
