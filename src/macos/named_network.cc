#include "macos/named_network.h"

#include <algorithm>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "macos/dynamic_symbols.h"
#include "macos/vmnet_status.h"

namespace vmnet {
namespace {

struct Functions {
  using Create = void*(xpc_object_t serialization, vmnet_return_t* status);
  using Start = interface_ref(void* network, xpc_object_t request, dispatch_queue_t queue,
                              vmnet_start_interface_completion_handler_t handler);
  using GetIpv4 = void(void* network, in_addr* subnet, in_addr* mask);
  using GetIpv6 = void(void* network, in6_addr* prefix, uint8_t* length);

  Create* create = find_function<Create>("vmnet_network_create_with_serialization");
  Start* start = find_function<Start>("vmnet_interface_start_with_network");
  GetIpv4* get_ipv4 = find_function<GetIpv4>("vmnet_network_get_ipv4_subnet");
  GetIpv6* get_ipv6 = find_function<GetIpv6>("vmnet_network_get_ipv6_prefix");

  bool complete() const {
    return create != nullptr && start != nullptr && get_ipv4 != nullptr && get_ipv6 != nullptr;
  }
};

Ipv4 from_wire(in_addr address) { return {.value = ntohl(address.s_addr)}; }

}  // namespace

bool has_named_networks() { return Functions{}.complete(); }

Result<NamedNetworkHandle> NamedNetworkHandle::create(xpc_object_t serialization) {
  Functions functions;
  if (!functions.complete()) return fail("named networks need macOS 26");
  vmnet_return_t status = VMNET_SUCCESS;
  void* network = functions.create(serialization, &status);
  if (network == nullptr) {
    return fail_vmnet("cannot use the network that vmnet-broker gave",
                      status == VMNET_SUCCESS ? VMNET_FAILURE : status);
  }
  return NamedNetworkHandle(network);
}

Result<NamedNetwork> NamedNetworkHandle::describe() const {
  Functions functions;
  in_addr subnet{};
  in_addr mask{};
  functions.get_ipv4(network_, &subnet, &mask);
  NamedNetwork network{.ipv4_subnet = from_wire(subnet), .ipv4_mask = from_wire(mask)};
  auto length = prefix_length(network.ipv4_mask);
  if (!length) return fail("the network that vmnet-broker gave has no valid IPv4 mask");
  // The gateway's address: the first one, where only the subnet's is told.
  if (network.ipv4_subnet == subnet_of(network.ipv4_subnet, *length).address) {
    network.ipv4_subnet.value++;
  }
  in6_addr prefix{};
  uint8_t prefix_length = 0;
  functions.get_ipv6(network_, &prefix, &prefix_length);
  if (prefix_length > 0) {
    Ipv6 address;
    std::ranges::copy(prefix.s6_addr, address.bytes.begin());
    network.ipv6_prefix = address;
    network.ipv6_prefix_length = prefix_length;
  }
  return network;
}

interface_ref NamedNetworkHandle::start_interface(
    xpc_object_t request, dispatch_queue_t queue,
    vmnet_start_interface_completion_handler_t handler) const {
  return Functions{}.start(network_, request, queue, handler);
}

}  // namespace vmnet
