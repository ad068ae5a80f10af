// A command line that was read: what was given of each option.
#pragma once

#include <initializer_list>
#include <map>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "helper/option_reader.h"

namespace vmnet {

class GivenOptions {
 public:
  void add(GivenOption option) {
    OptionId id = option.id;
    by_id_[id].push_back(std::move(option));
  }

  // All of a repeatable option, in order.
  std::span<const GivenOption> all(OptionId id) const {
    auto entry = by_id_.find(id);
    return entry == by_id_.end() ? std::span<const GivenOption>{} : entry->second;
  }

  // The last one counts.
  const GivenOption* find(OptionId id) const {
    auto given = all(id);
    return given.empty() ? nullptr : &given.back();
  }

  bool has(OptionId id) const { return by_id_.contains(id); }

  // The first of `ids` that is there.
  const GivenOption* find_any(std::initializer_list<OptionId> ids) const {
    for (OptionId id : ids) {
      if (const GivenOption* option = find(id)) return option;
    }
    return nullptr;
  }

 private:
  std::map<OptionId, std::vector<GivenOption>> by_id_;
};

// An option that something else on the command line rules out.
inline std::unexpected<Error> refuse(const GivenOption& option, std::string_view why) {
  if (option.value.empty()) return fail(fmt::format("{}: {}", option.name, why));
  return refuse_value(option, why);
}

}  // namespace vmnet
