// Whether others than root could put a program of their own in vmnet-helper's place, and so become
// root with it. vmnet-run warns; it refuses nothing, for who set the machine up may want it so.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace vmnet {

// A file or folder on the way to the helper.
struct PathPart {
  std::string path;
  uid_t owner = 0;
  mode_t mode = 0;
};

// `file` and every folder above it, up to /. Links are followed; what cannot be looked at is left
// out.
std::vector<PathPart> path_parts(const std::string& file);

// The first part that others than root may write to, and why, as the text of a warning. A folder
// with the sticky bit protects what root owns in it. Owners that a user namespace does not map are
// not known and so not blamed. Access control lists of macOS are not seen. Pure.
std::optional<std::string> replaceable_by_others(const std::vector<PathPart>& parts);

}  // namespace vmnet
