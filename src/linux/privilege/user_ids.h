// The user's ids, for what is done to the user's files.
//
// Sources: credentials(7), setresuid(2).
#pragma once

#include "base/result.h"
#include "platform/real_user.h"

namespace vmnet {

// The user's groups, and the user's ids as the real, effective and saved ones. Of the capabilities
// that setresuid(2) leaves the caller takes care.
Status take_ids_of(const RealUser& user);

// Takes the ids and gives up every capability (a root user keeps its own), with no way back: the
// keeper's last act.
Status become_real_user(const RealUser& user);

}  // namespace vmnet
