// Errors are values. A function that can fail returns Result<T>; the error is one line for the
// user that says what failed, on what, why, and what to do where we know it.
#pragma once

#include <expected>
#include <string>
#include <string_view>

namespace vmnet {

struct Error {
  std::string message;
  int os_errno = 0;  // errno of the failed system call, 0 where there was none
};

template <typename T>
using Result = std::expected<T, Error>;

using Status = Result<void>;

// An error in our own words: `return fail("--fd 7: not a socket")`.
std::unexpected<Error> fail(std::string message);

// A failed system call: "WHAT: strerror(ERR)" and, where given, "; HINT".
// `what` names the call's purpose and its object: "cannot create TAP device".
std::unexpected<Error> fail_errno(std::string_view what, int err, std::string_view hint = {});

// The same error, passed up: for the `if (!x) return pass(x);` of a failed Result of another type.
template <typename T>
std::unexpected<Error> pass(Result<T>& result) {
  return std::unexpected<Error>(std::move(result).error());
}

// "Permission denied (EACCES)": what strerror says, with the name that manuals index.
std::string errno_text(int err);

}  // namespace vmnet
