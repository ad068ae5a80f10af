// A netlink socket on libmnl: one request at a time, its answer awaited.
//
// Sources: rtnetlink(7), netlink(7), libmnl's documentation. One thread per socket. Waits are
// bounded by kNetlinkTimeout, so a wedged kernel ends a start with an error instead of a hang.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <libmnl/libmnl.h>
#include <linux/netlink.h>

#include "base/result.h"

namespace vmnet {

inline constexpr std::chrono::seconds kNetlinkTimeout{10};

// Calls `handle` for each attribute behind the family header of `header_size` bytes, or inside a
// nested attribute. (libmnl's own loops are macros that are not C++.)
void for_each_attribute(const nlmsghdr* message, size_t header_size,
                        const std::function<void(const nlattr*)>& handle);
void for_each_nested(const nlattr* nest, const std::function<void(const nlattr*)>& handle);

// A text attribute, bounded by its length whether the kernel terminated it or not.
std::string attribute_text(const nlattr* attribute);

// One netlink request under construction, in a buffer of its own.
class NetlinkMessage {
 public:
  // `type` RTM_NEWLINK..., `flags` NLM_F_CREATE... (NLM_F_REQUEST is added).
  NetlinkMessage(uint16_t type, uint16_t flags);

  nlmsghdr* header() { return header_; }

  // The family's fixed header (ifinfomsg, ifaddrmsg, ...), zeroed; before any attribute.
  template <typename T>
  T* add_family_header() {
    return static_cast<T*>(mnl_nlmsg_put_extra_header(header_, sizeof(T)));
  }

  void put_u8(uint16_t type, uint8_t value) { mnl_attr_put_u8(header_, type, value); }
  void put_u16(uint16_t type, uint16_t value) { mnl_attr_put_u16(header_, type, value); }
  void put_u32(uint16_t type, uint32_t value) { mnl_attr_put_u32(header_, type, value); }
  void put_bytes(uint16_t type, const void* data, size_t size) {
    mnl_attr_put(header_, type, size, data);
  }
  // With its terminating NUL.
  void put_string(uint16_t type, std::string_view text);

  nlattr* begin_nest(uint16_t type) { return mnl_attr_nest_start(header_, type); }
  void end_nest(nlattr* nest) { mnl_attr_nest_end(header_, nest); }

 private:
  std::array<uint8_t, 4096> buffer_{};
  nlmsghdr* header_;
};

class NetlinkSocket {
 public:
  // `protocol` NETLINK_ROUTE, NETLINK_NETFILTER, ...; in the caller's network namespace.
  static Result<NetlinkSocket> open(int protocol);

  int fd() const { return mnl_socket_get_fd(socket_.get()); }
  uint32_t port_id() const { return mnl_socket_get_portid(socket_.get()); }

  // Sends one request and waits for its acknowledgement. The error's os_errno is the kernel's;
  // `what` says what was asked, in the user's words: "cannot create bridge vmnet-shared0".
  Status request(NetlinkMessage& message, std::string_view what);

  // Sends a dump (or a get) and calls `handle` for each message of the answer. A dump that the
  // kernel marked as interrupted (NLM_F_DUMP_INTR) is asked again, so `handle` may see an entry
  // twice; `restart` is called first.
  Status query(NetlinkMessage& message, std::string_view what,
               const std::function<void(const nlmsghdr*)>& handle,
               const std::function<void()>& restart = {});

  // Joins a multicast group (RTNLGRP_...), for events.
  Status join_group(int group);

  // Reads the events that are there without waiting. False: events were lost (ENOBUFS), so the
  // caller must look at the kernel's state afresh.
  bool read_events(const std::function<void(const nlmsghdr*)>& handle);

 private:
  struct Close {
    void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
  };
  explicit NetlinkSocket(mnl_socket* socket) : socket_(socket) {}
  Status send(NetlinkMessage& message, std::string_view what);

  // What one read brought of the answer to the request sent last.
  struct Answer {
    bool complete = false;
    bool handled = false;      // it had a message of its own
    bool interrupted = false;  // a dump that changed under way
    int error = 0;             // errno
  };
  Answer read_answer(std::span<const uint8_t> data,
                     const std::function<void(const nlmsghdr*)>& handle) const;

  std::unique_ptr<mnl_socket, Close> socket_;
  uint32_t sequence_ = 0;
};

}  // namespace vmnet
