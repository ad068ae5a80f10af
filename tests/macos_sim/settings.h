// What a test asks of the simulated system: the environment variable MACOS_SIM, "KEY=VALUE ...",
// read when the program is loaded, since the program clears its environment.
//
//   version=26.0             of macOS
//   missing=NAME,NAME        symbols that this system does not have
//   shared=en0,en1           interfaces that can be shared
//   reported=N               packets a batch that vmnet reports; 0: none reported
//   limit_bytes=0            takes more than 256 KiB a call
//   nat66=0                  no IPv6 prefix in shared mode
//   params=none|small|huge   parameters that vmnet answers: none, or a senseless packet size
//   start=null|null_status   vmnet_start_interface returns no interface, at once or with a reason
//   CALL.status=CODE         what CALL ends with: start stop stop_handler callback network
//   CALL.status=CODE:COUNT   the same for the first COUNT calls: read write
//   write.partial=1:COUNT    the first COUNT writes of several packets take half of them
//   expect=merged|batch      a rule is broken where no merged segment, no batch was written
//   CALL.errno=NUMBER:COUNT  errno of the first COUNT calls: recvmsg_x sendmsg_x
//   broker=ok|absent|empty|list|gone|error:N
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace macos_sim {

std::string setting(const std::string& key, const std::string& otherwise = {});
std::vector<std::string> list_setting(const std::string& key, const std::string& otherwise = {});
uint64_t number_setting(const std::string& key, uint64_t otherwise);

// CODE of a setting CODE:COUNT for the first COUNT calls with this key (all, without a COUNT); 0
// after that and where nothing is set. Thread-safe.
uint32_t next_fault(const std::string& key);

}  // namespace macos_sim
