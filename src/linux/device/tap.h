// The host's end of the cable on Linux: a TAP, or a macvtap, read and written as frames behind a
// 12-byte virtio-net header.
//
// Sources: Documentation/networking/tuntap.rst, linux/if_tun.h; measured on Linux 6.18: a frame of
// more than 65,535 bytes (Ethernet header included) is segmented by the kernel before the reader.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include <sys/types.h>

#include "base/mac.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "forward/unmerge.h"
#include "linux/netlink/netlink.h"
#include "platform/endpoint.h"

namespace vmnet {

// Bytes of the virtio-net header before each frame.
inline constexpr int kTapHeaderSize = 12;

// What the kernel may leave to us on a TAP: unfinished checksums and unsplit segments.
enum class TapOffload { kOff, kOn };

// Creates the TAP `name`, which no device has, with that MAC, down. It vanishes with its
// descriptor. ROOT: opens /dev/net/tun; the name is ours, numbered.
Result<UniqueFd> create_tap(const std::string& name, const Mac& mac, TapOffload offload);

// A device that nothing passes, down: its end tells all who follow the host's devices that the
// holder of its descriptor has ended. The end of a socket that owns tables is told nobody.
// ROOT: opens /dev/net/tun; the kernel numbers the name, whose underscore no network's name has.
inline constexpr std::string_view kSignOfLifePrefix = "vmnet-life_";
Result<UniqueFd> create_sign_of_life();

// The largest MTU of a TAP (drivers/net/tun.c: MAX_MTU).
inline constexpr uint32_t kMaxTapMtu = 65535 - 14;

// Whether the kernel behind a TAP or macvtap with TapOffload::kOn takes and brings segments of UDP
// (Linux 6.2). Needs no privilege.
bool knows_udp_segments(int fd);

// Leaves a TAP that its holder has made persistent and let go to processes of `user` alone: without
// an owner anyone who can open /dev/net/tun could take it up.
Status set_tap_owner(int fd, uid_t user);

// Opens the device node of a macvtap that was just created, and sets it up as a TAP. `uevents` is a
// NETLINK_KOBJECT_UEVENT socket opened before the macvtap was created: the node's number comes from
// the kernel's own event, since /dev/tapN may belong to another network namespace's device.
// ROOT: makes a private node for that number in /dev, opens it and removes it.
Result<UniqueFd> open_macvtap(NetlinkSocket& uevents, int index, TapOffload offload);

// Listens to the kernel's device events.
Result<NetlinkSocket> open_uevents();

// Removes nodes that a killed start left in /dev.
void remove_stale_macvtap_nodes();

class TapEndpoint : public Endpoint {
 public:
  explicit TapEndpoint(UniqueFd fd) : fd_(std::move(fd)) {}

  int ready_fd() const override { return fd_.get(); }
  Transfer read(ReceiveBatch& batch) override;
  Transfer write(const SendBatch& batch) override;

 private:
  // False: refused, errno says why.
  bool write_frame(std::span<const iovec> parts, Transfer& transfer);

  UniqueFd fd_;
  Unmerger unmerger_;  // for merged frames that the kernel refuses
};

// A macvtap receives only for its own MAC, so it takes on the MAC that the VM sends from.
class MacvtapEndpoint : public TapEndpoint {
 public:
  MacvtapEndpoint(UniqueFd fd, const Mac& mac) : TapEndpoint(std::move(fd)), mac_(mac) {}

  Transfer write(const SendBatch& batch) override;

 private:
  void follow(const Mac& source);

  Mac mac_;
};

}  // namespace vmnet
