#include "forward/client_monitor.h"

#include <gtest/gtest.h>

#include "forward/client_monitor_test_support.h"

namespace vmnet {
namespace {

using namespace testing;

class ConnectedClientMonitor : public ::testing::TestWithParam<int> {};

INSTANTIATE_TEST_SUITE_P(Types, ConnectedClientMonitor, ::testing::ValuesIn(packet_socket_types()));

TEST_P(ConnectedClientMonitor, TellsThatThePeerHasGoneWithoutTraffic) {
  SocketPair pair(GetParam());
  DirectionStats replies;
  auto socket = VmSocket::connected(std::move(pair.ours), kBatch, replies);
  ASSERT_TRUE(socket);
  ClientMonitor monitor = monitor_of(**socket);
  EXPECT_TRUE(monitor.check());
  pair.vm.reset();
  EXPECT_FALSE(monitor.check());
}

TEST_F(BoundClientMonitor, ReleasesTheSocketFromAClientThatHasGone) {
  ClientMonitor monitor = monitor_of(*socket_);
  EXPECT_TRUE(monitor.check());
  for (int i = 0; i < 3; i++) {
    ::unlink(path("vm").c_str());
    Client client(path("vm"), path());
    ASSERT_TRUE(client.connected());
    ASSERT_TRUE(client.greet());
    read();
    EXPECT_TRUE(wakes(monitor, std::chrono::milliseconds(0)));
    EXPECT_TRUE(monitor.check());
    EXPECT_FALSE(wakes(monitor, std::chrono::milliseconds(0)));
    EXPECT_TRUE(socket_->client().attached);
    client.close();
    EXPECT_TRUE(monitor.check());
    EXPECT_FALSE(socket_->client().attached);
    EXPECT_TRUE(monitor.check());
  }
}

TEST_F(BoundClientMonitor, LogsFewLinesButTheLatestState) {
  ClientMonitor monitor = monitor_of(*socket_);
  ::testing::internal::CaptureStderr();
  for (int i = 0; i < 100; i++) {
    ::unlink(path("vm").c_str());
    Client client(path("vm"), path());
    ASSERT_TRUE(client.greet());
    read();
    EXPECT_TRUE(monitor.check());
    client.close();
    EXPECT_TRUE(monitor.check());
  }
  std::string log = ::testing::internal::GetCapturedStderr();
  // 200 changes; a machine so slow that it takes 10 s over them may log 100 lines.
  EXPECT_LE(std::ranges::count(log, '\n'), 100);
  ::testing::internal::CaptureStderr();
  std::this_thread::sleep_for(std::chrono::milliseconds(250));
  EXPECT_TRUE(monitor.check());
  EXPECT_TRUE(monitor.check());
  log += ::testing::internal::GetCapturedStderr();
  EXPECT_TRUE(log.ends_with("the client has gone; waiting for the next\n")) << log;
}

}  // namespace
}  // namespace vmnet
