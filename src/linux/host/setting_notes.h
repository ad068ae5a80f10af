// Where the old values of the host's settings are kept while they are changed: in the alias of a
// network's bridge, written before the change, so that whoever comes after a SIGKILL restores them.
#pragma once

#include "base/result.h"
#include "linux/host/network_record.h"
#include "linux/netlink/netlink.h"

namespace vmnet {

// Of one bridge, whose record is `record`; both references outlive the notes. Under the network's
// lock.
class SettingNotes {
 public:
  SettingNotes(NetlinkSocket& netlink, int bridge, NetworkRecord& record)
      : netlink_(netlink), bridge_(bridge), record_(record) {}

  // In place of a note of the same setting. On error (no room, no bridge) nothing has changed, and
  // the setting must be left alone.
  Status add(const OldSetting& old);

  // After the setting is what it was.
  Status remove(const OldSetting& old);

  NetlinkSocket& netlink() { return netlink_; }

 private:
  Status write(NetworkRecord changed);

  NetlinkSocket& netlink_;
  int bridge_;
  NetworkRecord& record_;
};

}  // namespace vmnet
