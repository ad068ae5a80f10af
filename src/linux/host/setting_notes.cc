#include "linux/host/setting_notes.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace vmnet {
namespace {

// Two for each of 96 uplinks. The kernel reserves 132 bytes a name in an answer, and what reads
// answers reads up to 32 KiB at once.
constexpr size_t kMaxNotes = 192;

}  // namespace

Status SettingNotes::add(const OldSetting& old) {
  auto& notes = record_.old_settings;
  if (std::ranges::find(notes, old) != notes.end()) return {};
  if (notes.size() >= kMaxNotes) {
    return fail(fmt::format("cannot note that {} did not forward: {} notes on {} are the most",
                            old.device, kMaxNotes, name_));
  }
  if (auto added = add_alternative_name(netlink_, bridge_, to_note(name_, old)); !added) {
    return added;
  }
  notes.push_back(old);
  // An older note after the new one, so that there is always one.
  auto former = std::ranges::find_if(notes, [&old](const OldSetting& known) {
    return known.is_same_setting(old) && known != old;
  });
  return former == notes.end() ? Status{} : remove(OldSetting(*former));
}

Status SettingNotes::remove(const OldSetting& old) {
  auto& notes = record_.old_settings;
  auto note = std::ranges::find(notes, old);
  if (note == notes.end()) return {};
  auto removed = remove_alternative_name(netlink_, bridge_, to_note(name_, old));
  if (removed) notes.erase(note);
  return removed;
}

}  // namespace vmnet
