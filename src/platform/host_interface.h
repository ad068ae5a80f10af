// The seam between the helper and a platform's network: src/linux and src/macos each implement
// start_interface(); the build file chooses.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "platform/config.h"
#include "platform/description.h"
#include "platform/endpoint.h"
#include "platform/frame_responder.h"
#include "platform/native_device.h"
#include "platform/real_user.h"
#include "platform/sandbox.h"
#include "platform/socket_files.h"

namespace vmnet {

class HostInterface {
 public:
  HostInterface() = default;
  HostInterface(const HostInterface&) = delete;
  HostInterface& operator=(const HostInterface&) = delete;
  virtual ~HostInterface() = default;

  virtual const Description& description() const = 0;

  // The host's end of the cable; not with --tap.
  virtual Endpoint& endpoint() = 0;

  // With --tap, the device that goes to the VM instead; null without.
  virtual NativeDevice* native_device() { return nullptr; }

  // Whether endpoint() takes merged frames and brings large ones, told by their virtio-net headers.
  virtual bool has_offload() const = 0;

  // Whether such a large frame may be of UDP datagrams (VIRTIO_NET_HDR_GSO_UDP_L4).
  virtual bool takes_udp_segments() const = 0;

  // Answers what the network owes the VM inside the data path (DHCP, router advertisements), or
  // null where the platform does that itself.
  virtual std::unique_ptr<FrameResponder> make_responder() = 0;

  // Becomes readable (poll) when the interface is lost and the helper must end; -1: never.
  virtual int lost_fd() const = 0;

  // What endpoint() needs of the sandbox.
  virtual SystemCallNeeds system_call_needs() const = 0;

  // Takes word of the VM socket's file to whoever removes it. After the interface has started.
  virtual Status note_socket_file(const SocketFile& file) = 0;

  // Releases everything on the host and waits until that is done. Called once, by main's thread,
  // after the forwarders have ended.
  virtual void stop() = 0;
};

// Whether this process may make interfaces at all: the error says what is missing and how to get
// it. Before anything else is tried.
Status check_privilege();

// Makes the host side of `config`. Needs privilege: the one step that does. Called once, before
// threads and before privileges are dropped. `files` are the VM socket's, of which there is only
// the lock yet: whoever outlives the others removes them, also when this fails. `workers_own` are
// descriptors that a process that stays privileged must not hold: the VM's socket, the capture's
// file. An error leaves nothing changed on the host. `stop_fd` readable before it is done: it gives
// up as soon as it can, with the error ECANCELED.
Result<std::unique_ptr<HostInterface>> start_interface(const NetworkConfig& config,
                                                       const RealUser& user,
                                                       const SocketFiles& files,
                                                       std::span<const int> workers_own,
                                                       int stop_fd);

// The names usable with --shared-interface, sorted. Needs no privilege.
Result<std::vector<std::string>> list_shared_interfaces();

}  // namespace vmnet
