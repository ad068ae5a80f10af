#include "helper/option_table.h"

#include <array>

namespace vmnet {
namespace {

constexpr std::array kTable = {
    OptionSpec{.id = OptionId::kFd,
               .name = "fd",
               .letter = 'f',
               .value_name = "FD",
               .programs = Programs::kHelper,
               .section = OptionSection::kVmSocket,
               .summary = "inherited socket of the VM",
               .help =
                   "the VM's socket, inherited: one end of a socketpair of `AF_UNIX`, "
                   "`SOCK_DGRAM`, `SOCK_SEQPACKET` or `SOCK_STREAM`, whose other end the VM has",
               .default_text = "none, this or `--socket` must be given"},
    OptionSpec{.id = OptionId::kSocket,
               .name = "socket",
               .letter = 's',
               .value_name = "PATH",
               .kind = ValueKind::kFile,
               .programs = Programs::kHelper,
               .section = OptionSection::kVmSocket,
               .summary = "socket to make",
               .help = "make a Unix socket at PATH and serve the VM that sends to it or connects "
                       "first; when it has gone, the next one",
               .default_text = "none, this or `--fd` must be given"},
    OptionSpec{.id = OptionId::kSocketType,
               .name = "socket-type",
               .value_name = "TYPE",
               .kind = ValueKind::kChoice,
               .choices = "dgram stream",
               .section = OptionSection::kVmSocket,
               .summary = "type of the VM's socket",
               .help = "`dgram`: a frame a datagram; `stream`: frames one behind the other, each "
                       "behind its length in 32 bits, big endian",
               .default_text = "`dgram`, or what an inherited socket is"},

    OptionSpec{.id = OptionId::kInterfaceId,
               .name = "interface-id",
               .letter = 'i',
               .value_name = "UUID",
               .section = OptionSection::kInterface,
               .summary = "who this interface is",
               .help = "who this interface is. The same UUID gets the same user the same MAC "
                       "address every time, and the same `ip_address` while that is free. Two "
                       "running VMs of a user's cannot share one",
               .default_text = "random"},
    OptionSpec{.id = OptionId::kOperationMode,
               .name = "operation-mode",
               .value_name = "MODE",
               .kind = ValueKind::kChoice,
               .choices = "shared bridged host",
               .section = OptionSection::kInterface,
               .summary = "kind of network",
               .help = "`shared`: a private network with NAT to the outside; `host`: a private "
                       "network with the host, no way out; `bridged`: the network of a host's "
                       "interface",
               .default_text = "`shared`"},
    OptionSpec{.id = OptionId::kSharedInterface,
               .name = "shared-interface",
               .value_name = "NAME",
               .kind = ValueKind::kSharedInterface,
               .section = OptionSection::kInterface,
               .summary = "interface of the host to share",
               .help = "the host's interface to share, needed in bridged mode and ignored in the "
                       "others",
               .default_text = "none"},
    OptionSpec{.id = OptionId::kEnableTso,
               .name = "enable-tso",
               .section = OptionSection::kInterface,
               .summary = "frames of up to 65550 bytes",
               .help = "let the VM send and receive TCP segments larger than its MTU, in frames "
                       "of up to 65,550 bytes instead of 1514",
               .default_text = "off"},
    OptionSpec{.id = OptionId::kEnableChecksumOffload,
               .name = "enable-checksum-offload",
               .section = OptionSection::kInterface,
               .summary = "let the VM leave checksums to the host",
               .help = "let the VM leave the checksums of TCP and UDP to the host",
               .default_text = "off"},
    OptionSpec{.id = OptionId::kTap,
               .name = "tap",
               .platform = Platform::kLinux,
               .section = OptionSection::kInterface,
               .summary = "give the VM the TAP device itself",
               .help = "give the VM the TAP device itself: its descriptor follows the line on the "
                       "VM's socket, and the kernel carries the frames. Not with "
                       "`--stats-interval`",
               .default_text = "off"},
    OptionSpec{.id = OptionId::kEnableIsolation,
               .name = "enable-isolation",
               .section = OptionSection::kInterface,
               .summary = "no other VM is reachable",
               .help = "let the VM reach the host and the outside but no other VM; not in bridged "
                       "mode",
               .default_text = "off"},

    OptionSpec{.id = OptionId::kStartAddress,
               .name = "start-address",
               .value_name = "ADDR",
               .section = OptionSection::kAddresses,
               .summary = "gateway's IPv4 address",
               .help = "the gateway's IPv4 address, a private one; DHCP gives out what follows it",
               .default_text = "the first free subnet from 192.168.64.0/24 on, in host mode from "
                               "192.168.128.0/24 on"},
    OptionSpec{.id = OptionId::kEndAddress,
               .name = "end-address",
               .value_name = "ADDR",
               .section = OptionSection::kAddresses,
               .summary = "last IPv4 address that DHCP gives out",
               .help = "the last IPv4 address that DHCP gives out",
               .default_text = "the last of that subnet"},
    OptionSpec{.id = OptionId::kSubnetMask,
               .name = "subnet-mask",
               .value_name = "MASK",
               .section = OptionSection::kAddresses,
               .summary = "mask of both",
               .help = "the mask of both, 255.0.0.0 to 255.255.255.252",
               .default_text = "255.255.255.0"},
    OptionSpec{
        .id = OptionId::kIpAddress,
        .name = "ip-address",
        .value_name = "ADDR",
        .platform = Platform::kLinux,
        .at_gateway = true,
        .section = OptionSection::kAddresses,
        .summary = "VM's IPv4 address",
        .help = "the VM's IPv4 address, which DHCP gives it: any of the subnet but the "
                "gateway's; an error where a running VM has it",
        .default_text = "of the DHCP range, with an interface id the same each time it is free"},
    OptionSpec{.id = OptionId::kDns,
               .name = "dns",
               .value_name = "ADDR",
               .repeatable = true,
               .platform = Platform::kLinux,
               .at_gateway = true,
               .section = OptionSection::kAddresses,
               .summary = "DNS server to tell the VM",
               .help = "the IPv4 or IPv6 address of a DNS server to tell the VM; give it again for "
                       "more, up to 8 of each",
               .default_text = "the host's"},

    OptionSpec{.id = OptionId::kNetworkId,
               .name = "network-id",
               .value_name = "UUID",
               .section = OptionSection::kOtherNetworks,
               .summary = "a network of its own",
               .help = "in host mode, a network of its own, shared only by the helpers with the "
                       "same UUID (Linux: of the same user's), without an address on the host and "
                       "without DHCP",
               .default_text = "the network that all in host mode share"},
    OptionSpec{.id = OptionId::kHostIpAddress,
               .name = "host-ip-address",
               .value_name = "ADDR",
               .section = OptionSection::kOtherNetworks,
               .summary = "host's address in that network",
               .help = "the host's address in the `--network-id` network, with DHCP for what "
                       "follows it",
               .default_text = "none"},
    OptionSpec{.id = OptionId::kHostSubnetMask,
               .name = "host-subnet-mask",
               .value_name = "MASK",
               .section = OptionSection::kOtherNetworks,
               .summary = "mask of that address",
               .help = "the mask of that address, to be given with it",
               .default_text = "none"},
    OptionSpec{.id = OptionId::kNetwork,
               .name = "network",
               .value_name = "NAME",
               .section = OptionSection::kOtherNetworks,
               .summary = "named network",
               .help =
                   "the network of that name, which decides mode and addresses. On Linux a "
                   "network as in shared mode, of this user's helpers with the same NAME alone, "
                   "made with the first and gone with the last; on macOS 26 one that a broker "
                   "has made",
               .default_text = "none"},

    OptionSpec{.id = OptionId::kStatsInterval,
               .name = "stats-interval",
               .value_name = "SECONDS",
               .summary = "log counters every so many seconds",
               .help = "log the interface's counters every 1 to 604800 seconds",
               .default_text = "never"},
    OptionSpec{.id = OptionId::kCapture,
               .name = "capture",
               .value_name = "FILE",
               .kind = ValueKind::kFile,
               .summary = "write the VM's frames to a file",
               .help = "write every frame of the VM, both ways, to FILE as pcapng, for Wireshark "
                       "and tcpdump: a new file, an empty one, or a FIFO that is read already. Not "
                       "with `--tap`",
               .default_text = "none"},
    OptionSpec{.id = OptionId::kCaptureSize,
               .name = "capture-size",
               .value_name = "MB",
               .summary = "megabytes at which the capture ends",
               .help = "end the capture before FILE is larger than so many megabytes, 1 to 1000000",
               .default_text = "1024"},
    OptionSpec{.id = OptionId::kVerbose,
               .name = "verbose",
               .letter = 'v',
               .summary = "log details too",
               .help = "log details too, in DEBUG lines",
               .default_text = "off"},
    OptionSpec{.id = OptionId::kListSharedInterfaces,
               .name = "list-shared-interfaces",
               .programs = Programs::kHelper,
               .summary = "print the names usable with --shared-interface",
               .help = "print the names usable with `--shared-interface`, one a line, and exit"},
    OptionSpec{.id = OptionId::kVersion,
               .name = "version",
               .summary = "print version and commit",
               .help = "print version and commit as YAML, and exit"},
    OptionSpec{.id = OptionId::kHelp,
               .name = "help",
               .letter = 'h',
               .summary = "print help",
               .help = "print this summary to standard output, and exit"},
};

}  // namespace

std::span<const OptionSpec> option_table() { return kTable; }

std::string_view section_title(OptionSection section) {
  switch (section) {
    case OptionSection::kVmSocket:
      return "The VM's socket:";
    case OptionSection::kInterface:
      return "The interface:";
    case OptionSection::kAddresses:
      return "Addresses, in shared and host mode; the first three together or none:";
    case OptionSection::kOtherNetworks:
      return "Other networks:";
    case OptionSection::kOther:
      break;
  }
  return "Other options:";
}

}  // namespace vmnet
