// A folder to bind the VM's socket in, as a start does: its place first, then its file.
#pragma once

#include <filesystem>
#include <string>

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "forward/vm_socket_test_support.h"
#include "helper/open_vm_socket.h"

namespace vmnet::testing {

inline mode_t mode_of(const std::string& path) {
  struct stat status{};
  EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
  return status.st_mode;
}

struct BoundVmSocket {
  UniqueFd socket;
  SocketFiles files;
  SocketFile file;
};

inline void remove_files(const BoundVmSocket& bound) {
  remove_socket_files(bound.files, bound.file);
}

class BindVmSocket : public ::testing::Test {
 protected:
  BindVmSocket() : start_(::open(folder_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {}

  Result<BoundVmSocket> bind(const std::string& path) const {
    auto vm = take_vm_socket_place(path, start_.get());
    if (!vm) return pass(vm);
    SocketFile file;
    auto bound = bind_vm_socket(vm->socket.get(), vm->place, SocketType::kDatagram,
                                [&](const SocketFile& news) -> Status {
                                  file = news;
                                  return {};
                                });
    if (!bound) return pass(bound);
    return BoundVmSocket{std::move(vm->socket), std::move(vm->place.files), file};
  }
  void expect_refused(const std::string& path, const std::string& reason) const {
    auto bound = bind(path);
    ASSERT_FALSE(bound);
    EXPECT_THAT(bound.error().message, ::testing::HasSubstr(fmt::format("--socket '{}'", path)));
    EXPECT_THAT(bound.error().message, ::testing::HasSubstr(reason));
  }

  TemporaryFolder folder_;
  UniqueFd start_;
};

}  // namespace vmnet::testing
