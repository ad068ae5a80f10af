// Prints the option table as JSON, for packaging/make_texts.py. Not installed.
#include <cstdio>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "helper/option_table.h"

namespace vmnet {
namespace {

std::string kind_name(const OptionSpec& spec) {
  if (spec.value_name == nullptr) return "none";
  switch (spec.kind) {
    case ValueKind::kText:
      return "text";
    case ValueKind::kFile:
      return "file";
    case ValueKind::kSharedInterface:
      return "shared interface";
    case ValueKind::kChoice:
      break;
  }
  return "choice";
}

std::string platform_name(const OptionSpec& spec) {
  if (!spec.platform) return "";
  return *spec.platform == Platform::kLinux ? "Linux" : "macOS";
}

std::string or_empty(const char* text) { return text != nullptr ? text : ""; }

nlohmann::ordered_json to_json(const OptionSpec& spec) {
  return {{"name", spec.name},
          {"letter", spec.letter != 0 ? std::string{spec.letter} : ""},
          {"value", or_empty(spec.value_name)},
          {"kind", kind_name(spec)},
          {"choices", spec.choices},
          {"repeatable", spec.repeatable},
          {"run", spec.programs == Programs::kBoth},
          {"platform", platform_name(spec)},
          {"summary", spec.summary},
          {"help", spec.help},
          {"default", or_empty(spec.default_text)}};
}

}  // namespace
}  // namespace vmnet

int main() {
  auto rows = nlohmann::ordered_json::array();
  for (const vmnet::OptionSpec& spec : vmnet::option_table()) rows.push_back(vmnet::to_json(spec));
  return std::puts(rows.dump(1).c_str()) < 0 ? 1 : 0;
}
