// VmSocket at a path (--socket): clients that go, and those that follow.
#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "forward/vm_socket_test_support.h"

namespace vmnet {
namespace {

using namespace testing;

TEST_F(BoundVmSocketTest, ARefusedSendShowsThatTheClientHasGone) {
  auto client = std::make_unique<Client>(path("vm"), path());
  ASSERT_TRUE(client->greet());
  read();
  client.reset();
  Transfer written = write({frame_of(60, 1), frame_of(60, 2)});
  EXPECT_EQ(written.drops, 2U);
  EXPECT_FALSE(written.gone);
  EXPECT_FALSE(socket_->client().attached);
}

TEST_F(BoundVmSocketTest, TheNextClientFollowsTheLast) {
  for (uint8_t i = 0; i < 100; i++) {
    ::unlink(path("vm").c_str());
    Client client(path("vm"), path());
    ASSERT_TRUE(client.connected());
    ASSERT_TRUE(client.send(frame_of(60, i)));
    ASSERT_EQ(read(), std::vector<Frame>{frame_of(60, i)});
    ASSERT_EQ(write({frame_of(70, i)}).frames, 1U);
    ASSERT_EQ(receive_all(client.fd()), std::vector<Frame>{frame_of(70, i)});
    ASSERT_TRUE(client.send(frame_of(61, i)));
    client.close();
    if (i % 2 == 0) {
      socket_->client_gone(socket_->client().epoch);
    } else {
      ASSERT_EQ(write({frame_of(60, 1)}).drops, 1U);
    }
    ASSERT_FALSE(socket_->client().attached);
  }
}

TEST_F(BoundVmSocketTest, WhatADeadClientLeftIsNotTheNextOnes) {
  auto client = std::make_unique<Client>(path("vm"), path());
  ASSERT_TRUE(client->greet());
  read();
  ASSERT_TRUE(client->send(frame_of(60, 1)));
  client.reset();
  socket_->client_gone(socket_->client().epoch);
  Client next(path("next"), path());
  ASSERT_TRUE(next.greet());
  EXPECT_EQ(read().size(), 0U);
  EXPECT_EQ(socket_->client().path, path("next"));
}

TEST_F(BoundVmSocketTest, NewsOfAnEarlierClientIsIgnored) {
  auto client = std::make_unique<Client>(path("vm"), path());
  ASSERT_TRUE(client->greet());
  read();
  uint64_t old = socket_->client().epoch;
  client.reset();
  socket_->client_gone(old);
  Client next(path("next"), path());
  ASSERT_TRUE(next.greet());
  read();
  socket_->client_gone(old);
  EXPECT_TRUE(socket_->client().attached);
  EXPECT_NE(socket_->client().epoch, old);
}

TEST_F(BoundVmSocketTest, ClientsComeAndGoUnderTraffic) {
  std::atomic<bool> running = true;
  std::thread reader([&] {
    while (running) socket_->read(in_);
  });
  std::thread writer([&] {
    while (running) write(std::vector<Frame>(8, frame_of(100, 1)));
  });
  std::thread watcher([&] {
    while (running) {
      socket_->client();
      socket_->send(frame_of(60, 1));
    }
  });
  for (int i = 0; i < 50; i++) {
    ::unlink(path("vm").c_str());
    // Until the last one's end has been seen, the kernel turns the next one away.
    std::unique_ptr<Client> client;
    ASSERT_TRUE(wait_until([&] {
      ::unlink(path("vm").c_str());
      client = std::make_unique<Client>(path("vm"), path());
      return client->connected();
    }));
    ASSERT_TRUE(wait_until([&] {
      client->send(frame_of(60, 1));
      return !receive_all(client->fd()).empty();
    })) << i;
  }
  running = false;
  reader.join();
  writer.join();
  watcher.join();
}

}  // namespace
}  // namespace vmnet
