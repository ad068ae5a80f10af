#include "run/find_helper.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "platform/run_platform.h"
#include "run/child_process.h"

namespace vmnet {
namespace {

// Never through PATH: what is found there might not be sudo.
constexpr std::array kSudoPaths = {"/usr/bin/sudo", "/bin/sudo", "/usr/local/bin/sudo",
                                   "/run/wrappers/bin/sudo"};

std::optional<std::string> find_sudo() {
  const auto* path = std::ranges::find_if(
      kSudoPaths, [](const char* candidate) { return ::access(candidate, X_OK) == 0; });
  if (path == kSudoPaths.end()) return std::nullopt;
  return *path;
}

}  // namespace

Result<std::string> find_helper() {
  auto program = own_program_path();
  if (!program) return pass(program);
  std::string helper = std::filesystem::path(*program).parent_path() / "vmnet-helper";
  if (::access(helper.c_str(), X_OK) != 0) {
    return fail_errno(fmt::format("cannot run {}", helper), errno,
                      "vmnet-run and vmnet-helper belong in the same folder");
  }
  return helper;
}

HelperPrivileges read_helper_privileges(const std::string& helper) {
  HelperPrivileges privileges;
  privileges.needed = network_needs_privilege();
  privileges.caller = ::geteuid();
  struct stat file{};
  if (::stat(helper.c_str(), &file) == 0) {
    privileges.file_owner = file.st_uid;
    privileges.file_mode = file.st_mode;
  }
  struct statvfs mount{};
  if (::statvfs(helper.c_str(), &mount) == 0) {
    privileges.mounted_nosuid = (mount.f_flag & ST_NOSUID) != 0;
  }
  privileges.file_capabilities = has_file_capabilities(helper);
  privileges.capabilities_passed = passes_capabilities();
  return privileges;
}

bool needs_sudo(const HelperPrivileges& privileges) {
  if (!privileges.needed || privileges.caller == 0) return false;
  bool setuid_root = privileges.file_owner == 0 && (privileges.file_mode & S_ISUID) != 0;
  bool by_file = setuid_root || privileges.file_capabilities;
  return !privileges.capabilities_passed && (!by_file || privileges.mounted_nosuid);
}

std::string version_of(const std::string& program) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return {};
  for (int end : ends) ::fcntl(end, F_SETFD, FD_CLOEXEC);
  UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  sigset_t mask;
  ::sigprocmask(SIG_BLOCK, nullptr, &mask);
  auto pid = start_program({.arguments = {program, "--version"},
                            .fds = {{.target = STDOUT_FILENO, .source = writer.get()},
                                    {.target = STDERR_FILENO, .source = writer.get()}},
                            .signal_mask = mask});
  writer.reset();
  if (!pid) return {};
  std::string said(256, '\0');
  std::size_t length = 0;
  while (length < said.size()) {
    ssize_t got = ::read(reader.get(), said.data() + length, said.size() - length);
    if (got <= 0) break;
    length += static_cast<std::size_t>(got);
  }
  reader.reset();
  ::waitpid(*pid, nullptr, 0);
  said.resize(length);
  return said;
}

bool keeps_descriptors(std::string_view version) { return !version.starts_with("sudo-rs"); }

Result<HelperCommand> helper_command(const std::string& helper,
                                     const std::vector<std::string>& arguments) {
  HelperCommand command;
  if (needs_sudo(read_helper_privileges(helper))) {
    auto sudo = find_sudo();
    if (!sudo) {
      return fail(
          fmt::format("{} has no privilege to make a network and sudo is not installed; "
                      "install sudo or run vmnet-run as root",
                      helper));
    }
    if (!keeps_descriptors(version_of(*sudo))) {
      return fail(
          fmt::format("{} is sudo-rs, which cannot pass the VM's socket on (no --close-from); give "
                      "{} the setuid bit or "
                      "file capabilities, see docs/install.md",
                      *sudo, helper));
    }
    command.through_sudo = true;
    command.arguments = {*sudo, "--non-interactive", "--close-from=4"};
  }
  command.arguments.insert(command.arguments.end(), {helper, "--fd=3"});
  command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
  return command;
}

}  // namespace vmnet
