#include "settings.h"

#include <cstdlib>
#include <map>
#include <mutex>
#include <sstream>

#include "rules.h"

namespace macos_sim {
namespace {

std::map<std::string, std::string> read_settings() {
  std::map<std::string, std::string> settings;
  const char* text = std::getenv("MACOS_SIM");
  std::istringstream words(text == nullptr ? "" : text);
  std::string word;
  while (words >> word) {
    size_t equals = word.find('=');
    require(equals != std::string::npos, "MACOS_SIM is not KEY=VALUE ...");
    settings[word.substr(0, equals)] = word.substr(equals + 1);
  }
  return settings;
}

// Before main().
const std::map<std::string, std::string> settings = read_settings();

std::mutex fault_mutex;
std::map<std::string, uint64_t> fault_calls;

}  // namespace

std::string setting(const std::string& key, const std::string& otherwise) {
  auto entry = settings.find(key);
  return entry == settings.end() ? otherwise : entry->second;
}

std::vector<std::string> list_setting(const std::string& key, const std::string& otherwise) {
  std::vector<std::string> items;
  std::istringstream text(setting(key, otherwise));
  std::string item;
  while (std::getline(text, item, ',')) items.push_back(item);
  return items;
}

uint64_t number_setting(const std::string& key, uint64_t otherwise) {
  std::string text = setting(key);
  return text.empty() ? otherwise : std::strtoull(text.c_str(), nullptr, 10);
}

uint32_t next_fault(const std::string& key) {
  std::string text = setting(key);
  if (text.empty()) return 0;
  std::scoped_lock lock(fault_mutex);
  size_t colon = text.find(':');
  uint64_t call = fault_calls[key]++;
  bool over =
      colon != std::string::npos && call >= std::strtoull(text.c_str() + colon + 1, nullptr, 10);
  return over ? 0 : static_cast<uint32_t>(std::strtoul(text.c_str(), nullptr, 10));
}

}  // namespace macos_sim
