// What a process may still do with files: nothing, but in the folders named.
#pragma once

#include <cstdint>
#include <span>

#include <linux/landlock.h>

#include "base/result.h"

namespace vmnet {

struct AllowedFolder {
  int fd = -1;          // of the folder; everything beneath it is meant
  uint64_t rights = 0;  // LANDLOCK_ACCESS_FS_*
};

// Of the calling thread and those it starts, for good. Descriptors that are open already go on
// working. Needs no_new_privs. A kernel without Landlock (before 5.13) is no error.
Status restrict_files_to(std::span<const AllowedFolder> allowed);

}  // namespace vmnet
