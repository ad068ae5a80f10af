// Opens the file of --capture, before anything on the host has changed.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace vmnet {

struct CaptureFile {
  UniqueFd fd;
  bool made = false;  // else it was there before, empty, or a FIFO
};

// A new file, mode 0600 under any umask, or one that is there: a FIFO with a reader, or an empty
// file; never through a symbolic link in the last part of `path`. A relative path is taken from the
// directory `start_directory`. Never waits. Errors name the option with the user's value.
//
// Called with the real user's rights (as_real_user), before threads: the umask changes for a
// moment.
Result<CaptureFile> open_capture_file(const std::string& path, int start_directory);

// Of a start that failed: removes a file that was made and has nothing in it. As the real user.
void discard_capture_file(const std::string& path, int start_directory, const CaptureFile& file);

}  // namespace vmnet
