#include "linux/host/dns_servers.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <memory>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/unique_fd.h"

namespace vmnet {
namespace {

constexpr size_t kMaxFile = size_t{1} << 20;

constexpr std::array kFiles = {
    "/etc/resolv.conf",
    "/run/systemd/resolve/resolv.conf",  // systemd-resolved's upstream servers
    "/run/NetworkManager/resolv.conf",   // of NetworkManager with a local dnsmasq
    "/run/NetworkManager/no-stub-resolv.conf",
};

std::string read_file(const char* path) {
  UniqueFd file(open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  std::string text;
  std::array<char, 4096> buffer{};
  while (file.valid() && text.size() < kMaxFile) {
    ssize_t size = read(file.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    text.append(buffer.data(), static_cast<size_t>(size));
  }
  return text;
}

constexpr std::string_view kBlanks = " \t\r";

// Takes the first word off `line`.
std::string_view next_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
  std::string_view word = line.substr(0, line.find_first_of(kBlanks));
  line.remove_prefix(word.size());
  return word;
}

void add_server(std::string_view text, DnsServers& servers) {
  if (auto ipv4 = parse_ipv4(text)) {
    if (!is_loopback(*ipv4) && ipv4->value != 0) servers.ipv4.push_back(*ipv4);
    return;
  }
  auto ipv6 = parse_ipv6(text);
  if (!ipv6 || ipv6->is_link_local() || ipv6->is_multicast() || ipv6->is_zero()) return;
  constexpr Ipv6 loopback{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
  if (*ipv6 != loopback) servers.ipv6.push_back(*ipv6);
}

}  // namespace

DnsServers parse_resolv_conf(std::string_view text) {
  DnsServers servers;
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (next_word(line) == "nameserver") add_server(next_word(line), servers);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return servers;
}

DnsServers all_dns_servers() {
  std::string text;
  for (const char* path : kFiles) text += read_file(path) + "\n";
  return parse_resolv_conf(text);
}

std::vector<std::string> dns_server_folders() {
  std::vector<std::string> folders;
  auto add = [&folders](std::string_view file) {
    folders.emplace_back(file.substr(0, file.rfind('/')));
  };
  for (const char* path : kFiles) {
    add(path);
    struct Free {
      void operator()(char* text) const { free(text); }
    };
    // The file may be a link to one in a folder of its own, which is replaced there.
    std::unique_ptr<char, Free> target(realpath(path, nullptr));
    if (target) add(target.get());
  }
  std::erase(folders, "");
  return folders;
}

std::string dns_server_files_state() {
  std::string state;
  for (const char* path : kFiles) {
    struct stat file{};
    if (stat(path, &file) != 0) file = {};
    state += fmt::format("{}:{}:{}:{}.{} ", file.st_dev, file.st_ino, file.st_size,
                         file.st_mtim.tv_sec, file.st_mtim.tv_nsec);
  }
  return state;
}

DnsServers host_dns_servers() {
  for (const char* path : kFiles) {
    DnsServers servers = parse_resolv_conf(read_file(path));
    if (!servers.empty()) return servers;
  }
  return {};
}

}  // namespace vmnet
