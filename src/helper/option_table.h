// Every option of vmnet-helper and vmnet-run, a row each. What a row says is said nowhere else:
// getopt_long's tables, --help, the table of docs/integration.md, the man pages, the completions
// and what the example tool hands down are made from it (packaging/make_texts.py). What an option
// means is options.cc's and network_options.cc's.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "platform/this_platform.h"

namespace vmnet {

// Above every character, so that getopt_long's result tells a long option from a letter.
enum class OptionId : int {
  kFd = 256,
  kSocket,
  kSocketType,
  kInterfaceId,
  kOperationMode,
  kSharedInterface,
  kEnableTso,
  kEnableChecksumOffload,
  kTap,
  kEnableIsolation,
  kStartAddress,
  kEndAddress,
  kSubnetMask,
  kIpAddress,
  kDns,
  kNetworkId,
  kHostIpAddress,
  kHostSubnetMask,
  kNetwork,
  kStatsInterval,
  kCapture,
  kCaptureSize,
  kVerbose,
  kListSharedInterfaces,
  kVersion,
  kHelp,
};

// What a shell can complete a value with.
enum class ValueKind { kText, kFile, kSharedInterface, kChoice };

// Below which heading --help has it. The rows of a section are neighbours.
enum class OptionSection { kVmSocket, kInterface, kAddresses, kOtherNetworks, kOther };

enum class Programs { kBoth, kHelper };

struct OptionSpec {
  OptionId id;
  const char* name;                  // without its dashes
  char letter = 0;                   // of the short form, 0: none
  const char* value_name = nullptr;  // null: takes no value
  ValueKind kind = ValueKind::kText;
  const char* choices = "";               // kChoice: separated by spaces
  bool repeatable = false;                // given again it adds up, else the last counts
  Programs programs = Programs::kBoth;    // which take it
  std::optional<Platform> platform = {};  // a usage error on the other one
  bool at_gateway = false;                // a usage error where the helper is no gateway
  OptionSection section = OptionSection::kOther;
  const char* summary;                 // completions: a few words
  const char* help;                    // Markdown without links: what it means
  const char* default_text = nullptr;  // Markdown; null: nothing to tell
};

// In the order of --help. Static.
std::span<const OptionSpec> option_table();

std::string_view section_title(OptionSection section);

}  // namespace vmnet
