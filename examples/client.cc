// A client in C++ (nlohmann-json): a socketpair, posix_spawn, the JSON line, one frame each way.
//
//     c++ -std=c++17 -o client client.cc && ./client [OPTION-OF-VMNET-HELPER]...
//
// Starts vmnet-helper itself, so that needs the setuid bit, file capabilities, or root.
// VMNET_HELPER names the program where it is not /opt/vmnet-helper/bin/vmnet-helper. A real client
// would hand the VM's end to its VM; this one asks who has the gateway's address, as a VM would.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

struct Helper {
  pid_t pid = -1;
  int vm = -1;  // the VM's end
  nlohmann::json interface;
};

std::string read_line(int fd) {
  std::string line;
  for (char c = 0; read(fd, &c, 1) == 1 && c != '\n';) line += c;
  return line;
}

Helper start_helper(std::vector<std::string> options) {
  std::array<int, 2> ends{};
  std::array<int, 2> output{};
  if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends.data()) != 0 || pipe(output.data()) != 0) {
    throw std::runtime_error("no socketpair or pipe");
  }
  // The helper needs its own two ends alone.
  for (int fd : {ends[0], output[0]}) fcntl(fd, F_SETFD, FD_CLOEXEC);
  int buffer = 1 << 20;
  setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));

  const char* set = std::getenv("VMNET_HELPER");
  std::string program = set != nullptr ? set : "/opt/vmnet-helper/bin/vmnet-helper";
  options.insert(options.begin(), {program, "--fd=" + std::to_string(ends[1])});
  std::vector<char*> argv;
  for (std::string& word : options) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
  Helper helper;
  int failed = posix_spawn(&helper.pid, program.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  close(output[1]);
  if (failed != 0) throw std::runtime_error("cannot start " + program);

  helper.vm = ends[0];
  std::string line = read_line(output[0]);
  close(output[0]);
  if (line.empty()) throw std::runtime_error("the helper failed; it said why");
  helper.interface = nlohmann::json::parse(line);
  return helper;
}

using Mac = std::array<unsigned char, 6>;

Mac parse_mac(const std::string& text) {
  Mac mac{};
  for (size_t i = 0; i < mac.size(); i++) {
    mac[i] = static_cast<unsigned char>(std::stoi(text.substr(3 * i, 2), nullptr, 16));
  }
  return mac;
}

std::string parse_address(const std::string& text) {
  in_addr address{};
  inet_pton(AF_INET, text.c_str(), &address);
  return {reinterpret_cast<const char*>(&address), sizeof(address)};
}

std::string mac_of_gateway(const Helper& helper) {
  Mac mac = parse_mac(helper.interface["vmnet_mac_address"]);
  std::string own_mac(mac.begin(), mac.end());
  std::string gateway = parse_address(helper.interface["vmnet_start_address"]);
  std::string frame = std::string(6, '\xff') + own_mac +
                      std::string("\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01", 10) + own_mac +
                      parse_address(helper.interface["ip_address"]) + std::string(6, '\0') +
                      gateway;
  if (send(helper.vm, frame.data(), frame.size(), 0) < 0) throw std::runtime_error("cannot send");
  while (true) {
    size_t largest = helper.interface["vmnet_max_packet_size"];
    frame.resize(largest + 8);  // two VLAN tags
    ssize_t size = recv(helper.vm, frame.data(), frame.size(), 0);
    if (size < 0) throw std::runtime_error("cannot receive");
    bool arp_reply = size >= 42 && frame.compare(12, 2, "\x08\x06") == 0 && frame[21] == 2;
    if (!arp_reply || frame.compare(28, 4, gateway) != 0) continue;
    std::array<char, 18> text{};
    auto byte = [&frame](size_t i) { return static_cast<unsigned char>(frame[22 + i]); };
    std::snprintf(text.data(), text.size(), "%02x:%02x:%02x:%02x:%02x:%02x", byte(0), byte(1),
                  byte(2), byte(3), byte(4), byte(5));
    return text.data();
  }
}

}  // namespace

int main(int argc, char** argv) try {
  Helper helper = start_helper({argv + 1, argv + argc});
  auto text = [&helper](const char* key) { return helper.interface[key].get<std::string>(); };
  std::cout << "VM: " << text("vmnet_mac_address") << ' ' << text("ip_address") << '\n';
  std::cout << "gateway: " << mac_of_gateway(helper) << ' ' << text("vmnet_start_address") << '\n';
  close(helper.vm);  // ends the helper; so does SIGTERM
  int status = 0;
  waitpid(helper.pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
