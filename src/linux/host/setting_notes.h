// Where the old values of the host's settings are kept while they are changed: in further names of
// a network's bridge, given before the change, so that whoever comes after a SIGKILL restores them.
#pragma once

#include <string>
#include <utility>

#include "base/result.h"
#include "linux/host/network_record.h"
#include "linux/netlink/netlink.h"

namespace vmnet {

// Of the bridge with that index and name, whose record is `record`; both references outlive the
// notes. Under the network's lock.
class SettingNotes {
 public:
  SettingNotes(NetlinkSocket& netlink, int bridge, std::string name, NetworkRecord& record)
      : netlink_(netlink), bridge_(bridge), name_(std::move(name)), record_(record) {}

  // In place of a note of the same setting. On error (no room, no bridge) the setting must be left
  // alone.
  Status add(const OldSetting& old);

  // After the setting is what it was.
  Status remove(const OldSetting& old);

  NetlinkSocket& netlink() { return netlink_; }

 private:
  NetlinkSocket& netlink_;
  int bridge_;
  std::string name_;
  NetworkRecord& record_;
};

}  // namespace vmnet
