#include "macos/vmnet_status.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include <fmt/format.h>
#include <unistd.h>

namespace vmnet {
namespace {

struct StatusWords {
  uint32_t status;
  std::string_view name;
  std::string_view words;
  bool may_be_privilege;  // a missing privilege arrives as this (seen)
};

constexpr auto kWords = std::to_array<StatusWords>({
    {VMNET_SUCCESS, "VMNET_SUCCESS", "it worked", false},
    {VMNET_FAILURE, "VMNET_FAILURE",
     "the system gave no reason; the addresses may be in use by another network, or all of the "
     "system's 32 interfaces",
     true},
    {VMNET_MEM_FAILURE, "VMNET_MEM_FAILURE", "out of memory; end other virtual machines", true},
    {VMNET_INVALID_ARGUMENT, "VMNET_INVALID_ARGUMENT",
     "the system does not take these options together; try without the address, isolation and "
     "offload options",
     false},
    {VMNET_SETUP_INCOMPLETE, "VMNET_SETUP_INCOMPLETE",
     "the interface is not set up yet; start the helper again", false},
    {VMNET_INVALID_ACCESS, "VMNET_INVALID_ACCESS",
     "the interface may not be used by this process; start the helper again", false},
    {VMNET_PACKET_TOO_BIG, "VMNET_PACKET_TOO_BIG", "a frame is larger than the interface takes",
     false},
    {VMNET_BUFFER_EXHAUSTED, "VMNET_BUFFER_EXHAUSTED",
     "the interface's buffers are full; try again later", false},
    {VMNET_TOO_MANY_PACKETS, "VMNET_TOO_MANY_PACKETS", "too many frames at once", false},
    {VMNET_SHARING_SERVICE_BUSY, "VMNET_SHARING_SERVICE_BUSY",
     "Internet Sharing or another program is using the sharing service; switch Internet Sharing "
     "off in System Settings, or try again later",
     false},
    {VMNET_NOT_AUTHORIZED, "VMNET_NOT_AUTHORIZED", "this process may not make an interface", true},
});

constexpr std::string_view kHowToGetPrivilege =
    "run the helper with sudo, install it setuid root, or, from macOS 26 on, sign it with the "
    "entitlement com.apple.security.virtualization (docs/macos.md)";

}  // namespace

std::string vmnet_status_text(vmnet_return_t status, bool is_root) {
  const auto* words =
      std::ranges::find(kWords, static_cast<uint32_t>(status), &StatusWords::status);
  if (words == kWords.end()) {
    return fmt::format("vmnet error {}; look for it in the system's log",
                       static_cast<uint32_t>(status));
  }
  std::string text = fmt::format("{} ({}): {}", words->name, words->status, words->words);
  if (words->may_be_privilege && !is_root) text += fmt::format("; {}", kHowToGetPrivilege);
  return text;
}

std::unexpected<Error> fail_vmnet(std::string_view what, vmnet_return_t status) {
  return fail(fmt::format("{}: {}", what, vmnet_status_text(status, geteuid() == 0)));
}

}  // namespace vmnet
