#include "helper/usage_text.h"

#include <fmt/format.h>

#include "helper/version.h"

namespace vmnet {
namespace {

constexpr std::string_view kHead =
    R"(Usage: vmnet-helper (--fd FD | --socket PATH) [OPTION]...
       vmnet-helper --list-shared-interfaces | --version | --help

Gives a virtual machine a network interface. Frames come from and go to the VM
over a Unix datagram socket; one line of JSON on standard output describes the
interface once it works. Ends on SIGTERM, SIGINT or when the VM has gone.

The VM's socket, exactly one of:
  -f, --fd FD                 an inherited Unix datagram socket, one end of a
                              socketpair whose other end the VM has
  -s, --socket PATH           make a Unix datagram socket at PATH and serve the
                              VM that sends to it first; when it has gone, the
                              next one
)";

constexpr std::string_view kNetworkOptions =
    R"(The interface:
  -i, --interface-id UUID     who this interface is: the same UUID gets the same
                              MAC address every time (default: a random UUID)
      --operation-mode MODE   shared: a private network with NAT to the outside;
                              host: a private network with the host and without
                              a way out; bridged: the network of an interface
                              of the host (default: shared)
      --shared-interface NAME the host's interface to share, needed in bridged
                              mode and ignored in the others (default: none)
      --enable-tso            let the VM send and receive TCP segments larger
                              than its MTU, frames of up to 65550 bytes
                              (default: off, frames of up to 1514 bytes)
      --enable-checksum-offload
                              let the VM leave checksums to the host
                              (default: off)
      --tap                   give the VM the TAP device itself: its descriptor
                              follows the line on the VM's socket, and the
                              kernel carries the frames (Linux; default: off)
      --enable-isolation      let the VM reach the host and the outside but no
                              other VM; not in bridged mode (default: off)

Addresses, in shared and host mode; the first three together or none:
      --start-address ADDR    the gateway's IPv4 address, a private one; DHCP
                              gives out what follows it
      --end-address ADDR      the last IPv4 address that DHCP gives out
      --subnet-mask MASK      the mask of both, 255.0.0.0 to 255.255.255.252
                              (default of the three: the first free subnet from
                              192.168.64.0/24 on, in host mode 192.168.128.0/24)
      --dns ADDR              the IPv4 or IPv6 address of a DNS server to tell
                              the VM; give it again for more (default: the
                              host's own)

Other networks:
      --network-id UUID       in host mode, a network of its own, shared only by
                              interfaces with the same UUID, without an address
                              on the host and without DHCP (default: the network
                              that all interfaces in host mode share)
      --host-ip-address ADDR  the host's address in the --network-id network,
                              with DHCP for what follows it (default: none)
      --host-subnet-mask MASK the mask of that address, to be given with it
                              (default: none)
      --network NAME          join the named network of macOS 26, which decides
                              mode and addresses (default: none)

Other options:
      --stats-interval SECONDS
                              log the interface's counters every so many seconds
                              (default: never)
  -v, --verbose               log details too (default: off)
)";

constexpr std::string_view kTail =
    R"(      --list-shared-interfaces
                              print the names usable with --shared-interface,
                              one a line, and exit
      --version               print version and commit as YAML, and exit
  -h, --help                  print this, and exit
)";

}  // namespace

std::string network_options_usage() { return std::string(kNetworkOptions); }

std::string helper_usage() { return fmt::format("{}\n{}{}", kHead, kNetworkOptions, kTail); }

std::string version_text() { return fmt::format("version: {}\ncommit: {}\n", kVersion, kCommit); }

}  // namespace vmnet
