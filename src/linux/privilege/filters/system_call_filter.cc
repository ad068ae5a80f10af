#include "linux/privilege/system_call_filter.h"

#include <cerrno>

namespace vmnet {

SystemCallFilter::SystemCallFilter() : filter_(seccomp_init(SCMP_ACT_KILL_PROCESS)) {
  if (!filter_) {
    error_ = -ENOMEM;
    return;
  }
  error_ = seccomp_attr_set(filter_.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  if (error_ == 0) error_ = seccomp_attr_set(filter_.get(), SCMP_FLTATR_CTL_TSYNC, 1);
  // The kernel's reason in place of ECANCELED, which here means a start that was told to stop
  // (libseccomp 2.5).
  if (error_ == 0) error_ = seccomp_attr_set(filter_.get(), SCMP_FLTATR_API_SYSRAWRC, 1);
}

void SystemCallFilter::allow(std::span<const int> calls) {
  for (int call : calls) allow(call, {});
}

void SystemCallFilter::allow(int call, std::initializer_list<scmp_arg_cmp> arguments) {
  if (error_ != 0) return;
  error_ = seccomp_rule_add_array(filter_.get(), SCMP_ACT_ALLOW, call,
                                  static_cast<unsigned>(arguments.size()), arguments.begin());
}

Status SystemCallFilter::enforce() {
  if (error_ == 0) error_ = seccomp_load(filter_.get());
  if (error_ == 0) return {};
  return fail_errno("cannot enforce the seccomp filter", -error_,
                    "the kernel needs CONFIG_SECCOMP_FILTER");
}

}  // namespace vmnet
