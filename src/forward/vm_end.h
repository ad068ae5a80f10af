// The VM's end of the cable as the session sees it, whatever its socket's type: VmSocket (a frame a
// datagram), StreamSocket (frames one behind the other).
//
// The client's life is a counter, the epoch: odd while there is a client.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <sys/types.h>

#include "forward/wake_up.h"
#include "platform/endpoint.h"
#include "platform/frame_responder.h"

namespace vmnet {

class VmEnd : public Endpoint, public FrameSink {
 public:
  // Whether clients come and go (--socket). The peer of a connected socket is the only one.
  virtual bool is_bound() const = 0;

  // The batch that read() wants: so many slots, and of which size (0: it places its frames).
  struct ReadShape {
    size_t slots = 0;
    size_t slot_size = 0;
  };
  virtual ReadShape read_shape(size_t max_frame) const = 0;

  struct Client {
    uint64_t epoch = 0;     // changes with each client that comes or goes
    bool attached = false;  // always, for a connected socket
    pid_t pid = 0;          // in our pid namespace; 0: not known
    std::string path;       // as the client bound it: not escaped; empty where it has none
    // The last sender that could not be connected back to since there was a client, and why; 0:
    // none.
    std::string unreachable_path;
    int unreachable_errno = 0;
    // Of clients that did not keep to the protocol: the last one's fault, and how many there were.
    std::string fault;
    uint64_t faults = 0;
  };
  // Any thread, outside the data path.
  virtual Client client() const = 0;

  // The client of `epoch` has gone: wait for the next. Ignored if it is not the client any more,
  // and for a connected socket. Any thread, outside the data path.
  virtual void client_gone(uint64_t epoch) = 0;

  // Raised when a client has come or gone; cleared by whoever looks.
  virtual const WakeUp& client_changed() const = 0;

  // What was not taken because its sender is not the client or may not be one: how many, and of
  // what. Any thread.
  virtual uint64_t refused() const = 0;
  virtual std::string_view what_is_refused() const = 0;

  // Readable when accept_clients() has something to do; -1: nothing now. It changes with
  // accept_clients() and when client_changed() is raised. By main's thread.
  virtual int admission_fd() const { return -1; }
  virtual void accept_clients() {}
};

}  // namespace vmnet
