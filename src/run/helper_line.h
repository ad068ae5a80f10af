// The one line of JSON that vmnet-helper prints, on its way from the helper's pipe to our standard
// output, byte for byte.
#pragma once

#include <string>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"

namespace vmnet {

class HelperLine {
 public:
  // `reader` is a pipe's, non-blocking.
  explicit HelperLine(UniqueFd reader) : reader_(std::move(reader)) {}

  int reader() const { return reader_.get(); }

  // Takes what the pipe holds, without waiting.
  void read_more();

  bool complete() const { return complete_; }
  // No line will come: the pipe's writers have gone, or wrote more than any line of ours has.
  bool failed() const { return failed_; }

  // Once complete: writes some of the line to standard output, at most what a pipe that poll calls
  // writable takes at once. SIGPIPE must be blocked.
  Status print_some();
  bool printed() const { return complete_ && printed_ == text_.size(); }

 private:
  UniqueFd reader_;
  std::string text_;  // with its line end
  bool complete_ = false;
  bool failed_ = false;
  size_t printed_ = 0;
};

}  // namespace vmnet
