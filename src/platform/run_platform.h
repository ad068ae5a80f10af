// What vmnet-run needs from the system beyond POSIX: a body for each platform in src/linux and
// src/macos.
#pragma once

#include <string>
#include <vector>

#include <sys/types.h>

#include "base/result.h"

namespace vmnet {

// The running program's own file, symbolic links resolved, whatever argv[0] says.
Result<std::string> own_program_path();

// Whether a network can only be made with privilege (macOS before 26, Linux always).
bool network_needs_privilege();

// Whether the program file at `path` carries capabilities (setcap).
bool has_file_capabilities(const std::string& path);

// Whether this process passes the capability to make networks on to what it starts.
bool passes_capabilities();

// Makes orphans among the descendants this process's children, so that they can be waited for.
void adopt_orphans();

// In a child process after fork(): asks for SIGTERM when `parent` ends. Async-signal-safe. False
// where the parent has already ended.
bool end_with_parent(pid_t parent);

struct Descendant {
  pid_t pid = 0;
  pid_t group = 0;  // its process group
};

// The living descendants of the process `ancestor`, as far as they can be seen.
std::vector<Descendant> living_descendants(pid_t ancestor);

}  // namespace vmnet
