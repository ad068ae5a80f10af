// A TAP or macvtap that goes to the VM (--tap), and the packet socket by which the helper hears and
// answers what the VM asks of its network.
//
// The socket sees the VM's frames before the ingress rules drop them (packet(7); ETH_P_ALL, since
// the frames of a bridge's port come to no other protocol). Its filter, attached and locked before
// the socket is bound, lets through what the responder answers, requests to a DHCP server and
// router solicitations, and ARP, by which it sees who is there. The checksum of those may be
// unfinished.
#pragma once

#include <array>
#include <memory>
#include <span>

#include <linux/filter.h>

#include "base/result.h"
#include "base/unique_fd.h"
#include "linux/netlink/device_events.h"
#include "platform/native_device.h"

namespace vmnet {

// The filter of that socket.
std::span<const sock_filter> request_filter();

// A packet socket of the device with that index that receives a VM's requests alone.
// ROOT: needs CAP_NET_RAW. Whoever holds it can send any frame, on any device: the sandbox
// leaves no call to name one (SystemCallNeeds::native_vm_socket).
Result<UniqueFd> open_request_socket(int index);

class NativeTap : public NativeDevice {
 public:
  // `device` is for the VM. Where `answers` is set, a request socket is opened.
  static Result<std::unique_ptr<NativeTap>> create(UniqueFd device, int index, bool answers);

  UniqueFd take_descriptor() override { return std::move(device_); }
  int request_fd() const override { return requests_.get(); }
  std::span<const uint8_t> next_request() override;
  int gone_fd() const override { return deletion_.fd(); }
  void send(std::span<const uint8_t> frame) override;

 private:
  NativeTap(UniqueFd device, UniqueFd requests, DeviceEvents deletion)
      : device_(std::move(device)),
        requests_(std::move(requests)),
        deletion_(std::move(deletion)) {}

  UniqueFd device_;
  UniqueFd requests_;
  DeviceEvents deletion_;
  std::array<uint8_t, 2048> frame_{};
};

}  // namespace vmnet
