// What --help and --version print, for vmnet-helper and for vmnet-run, which explains the same
// options.
#pragma once

#include <string>

#include "helper/option_table.h"

namespace vmnet {

// vmnet-helper --help: every option with its default.
std::string helper_usage();

// The options below their headings, those of both programs or every one, in lines of 80 columns.
std::string options_usage(Programs programs);

// --version: two lines of YAML, `version: vX.Y.Z` and `commit: HASH`.
std::string version_text();

}  // namespace vmnet
