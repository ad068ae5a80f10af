#include "linux/host/setting_notes.h"

#include <utility>

namespace vmnet {
namespace {

NetworkRecord without(NetworkRecord record, const OldSetting& old) {
  std::erase_if(record.old_settings, [&old](const OldSetting& known) {
    return known.key == old.key && known.device == old.device;
  });
  return record;
}

}  // namespace

Status SettingNotes::add(const OldSetting& old) {
  NetworkRecord changed = without(record_, old);
  changed.old_settings.push_back(old);
  return write(std::move(changed));
}

Status SettingNotes::remove(const OldSetting& old) { return write(without(record_, old)); }

Status SettingNotes::write(NetworkRecord changed) {
  auto alias = to_alias(changed);
  if (!alias) return pass(alias);
  if (auto set = set_alias(netlink_, bridge_, *alias); !set) return set;
  record_ = std::move(changed);
  return {};
}

}  // namespace vmnet
