// vmnet-run: runs a VM's command with a network interface from vmnet-helper. Unprivileged.
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>

#include <fcntl.h>
#include <unistd.h>

#include "base/journal.h"
#include "base/log.h"
#include "helper/usage_text.h"
#include "platform/descriptors.h"
#include "platform/run_platform.h"
#include "run/find_helper.h"
#include "run/replaceable.h"
#include "run/run_options.h"
#include "run/supervisor.h"

namespace vmnet {
namespace {

constexpr std::string_view kPart = "vmnet-run";

// 0 to 2 are open and nothing else is: what COMMAND and the helper inherit is what we give them.
Status clean_descriptors() {
  int fd = 0;
  do {
    fd = ::open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd < 0) return fail_errno("cannot open /dev/null", errno);
  return close_descriptors_but(STDERR_FILENO + 1, {});
}

int fail_with(const Error& error) {
  log_error(kPart, "{}", error.message);
  return 1;
}

int print_text(const std::string& text) {
  if (std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0) return 0;
  log_error(kPart, "cannot write to standard output: {}", errno_text(errno));
  return 1;
}

void warn_if_replaceable(const std::string& helper) {
  if (!network_needs_privilege()) return;
  if (auto warning = replaceable_by_others(path_parts(helper))) log_warn(kPart, "{}", *warning);
}

int run(std::span<const char* const> argv) {
  tell_journal_priorities(std::getenv("JOURNAL_STREAM"));
  if (auto cleaned = clean_descriptors(); !cleaned) return fail_with(cleaned.error());
  if (::getuid() != ::geteuid() || ::getgid() != ::getegid()) {
    return fail_with({.message = "must not be setuid or setgid: only vmnet-helper needs privilege",
                      .os_errno = 0});
  }
  auto options = parse_run_options(argv);
  if (!options) return fail_with(options.error());
  if (options->action == Action::kHelp) return print_text(run_usage());
  if (options->action == Action::kVersion) return print_text(version_text());
  auto helper = find_helper();
  if (!helper) return fail_with(helper.error());
  warn_if_replaceable(*helper);
  auto command = helper_command(*helper, options->helper_arguments);
  if (!command) return fail_with(command.error());
  return supervise(*command, options->command, options->tap, options->socket_type);
}

}  // namespace
}  // namespace vmnet

int main(int argc, char** argv) { return vmnet::run({argv, static_cast<size_t>(argc)}); }
