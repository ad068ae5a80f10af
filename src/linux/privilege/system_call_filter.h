// A seccomp allow-list under construction: what is not allowed ends the process.
//
// Sources: seccomp(2), libseccomp's manual. The worker's list is in worker_sandbox.cc, the keeper's
// in keeper_sandbox.cc.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>

#include <seccomp.h>

#include "base/result.h"

namespace vmnet {

class SystemCallFilter {
 public:
  SystemCallFilter();

  void allow(std::span<const int> calls);  // SCMP_SYS(...)

  // Only with these arguments.
  void allow(int call, std::initializer_list<scmp_arg_cmp> arguments);

  // For all threads of the process and those to come, for good. Needs no_new_privs. Also the error
  // of any call before.
  Status enforce();

 private:
  struct Release {
    void operator()(void* filter) const { seccomp_release(filter); }
  };

  std::unique_ptr<void, Release> filter_;
  [[maybe_unused]] int error_ = 0;  // the first, as libseccomp says it: 0 or a negative errno;
                                    // sandbox_absent.cc has no use for it
};

// Conditions on argument number `index`.
inline scmp_arg_cmp argument_is(unsigned index, uint64_t value) {
  return {.arg = index, .op = SCMP_CMP_EQ, .datum_a = value, .datum_b = 0};
}
inline scmp_arg_cmp argument_lacks(unsigned index, uint64_t bits) {
  return {.arg = index, .op = SCMP_CMP_MASKED_EQ, .datum_a = bits, .datum_b = 0};
}
// An `int` or `unsigned`: the register's upper half is anything.
inline scmp_arg_cmp low_half_is(unsigned index, uint32_t value) {
  return {.arg = index, .op = SCMP_CMP_MASKED_EQ, .datum_a = 0xffffffff, .datum_b = value};
}

}  // namespace vmnet
