// What --help and --version print, for vmnet-helper and for vmnet-run, which explains the same
// options.
#pragma once

#include <string>

namespace vmnet {

// vmnet-helper --help: every option with its default.
std::string helper_usage();

// The explanations of the options that vmnet-run takes too.
std::string network_options_usage();

// --version: two lines of YAML, `version: vX.Y.Z` and `commit: HASH`.
std::string version_text();

}  // namespace vmnet
