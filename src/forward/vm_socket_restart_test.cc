// VmSocket at a path (--socket): clients that go, and those that follow.
#include <atomic>
#include <csignal>
#include <thread>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>

#include "forward/peer_watch.h"
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

TEST_F(BoundVmSocketTest, AClientThatConnectsElsewhereHasGone) {
  UniqueFd elsewhere = bind_datagram(path("elsewhere"));
  Client client(path("vm"), path());
  ASSERT_TRUE(client.greet());
  read();
  ASSERT_TRUE(connect_to_path(client.fd(), path("elsewhere")));
  EXPECT_EQ(write({frame_of(60, 1)}).drops, 1U);
  EXPECT_FALSE(socket_->client().attached);
  Client next(path("next"), path());
  ASSERT_TRUE(next.send(frame_of(60, 2)));
  EXPECT_EQ(read(), std::vector<Frame>{frame_of(60, 2)});
}

TEST_F(BoundVmSocketTest, AClientThatConnectsElsewhereUnreadTellsTheReader) {
  UniqueFd elsewhere = bind_datagram(path("elsewhere"));
  Client client(path("vm"), path());
  ASSERT_TRUE(client.greet());
  read();
  read();
  write({frame_of(60, 1)});  // with something unread the kernel tells us at once (ECONNRESET)
  ASSERT_TRUE(connect_to_path(client.fd(), path("elsewhere")));
  read();
  EXPECT_FALSE(socket_->client().attached);
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

// Attaches, then waits to be killed.
pid_t start_client(const std::string& own, const std::string& helper) {
  pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::unlink(own.c_str());
  Client client(own, helper);
  if (!client.connected() || !client.send(frame_of(60, 1))) _exit(1);
  while (true) ::pause();
}

bool becomes_readable(int fd) {
  pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&entry, 1, 10000) == 1;
}

TEST_F(BoundVmSocketTest, AHundredKilledClientsAreEachFollowedByTheNextAtOnce) {
  auto watch = PeerWatch::open(socket_->ready_fd());
  ASSERT_TRUE(watch);
  for (int i = 0; i < 100; i++) {
    pid_t pid = start_client(path("vm"), path());
    ASSERT_GT(pid, 0);
    ASSERT_TRUE(wait_until([&] { return read().size() == 1; })) << i;
    ASSERT_TRUE(becomes_readable(socket_->client_changed().fd()));
    socket_->client_changed().clear();
    VmSocket::Client client = socket_->client();
    ASSERT_EQ(client.pid, pid);
    UniqueFd process = open_process_watch(client.pid);
    ASSERT_FALSE(watch->peer_gone());
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
    // When its process tells of its end, its socket has gone, too.
    ASSERT_TRUE(becomes_readable(process.get()));
    ASSERT_TRUE(watch->peer_gone());
    socket_->client_gone(client.epoch);
    ASSERT_FALSE(socket_->client().attached) << i;
    ASSERT_EQ(::waitpid(pid, nullptr, 0), pid);
  }
}

TEST_F(BoundVmSocketTest, AProcessThatEndsWhileItsSocketLivesOnIsNotTheEnd) {
  auto watch = PeerWatch::open(socket_->ready_fd());
  ASSERT_TRUE(watch);
  Client client(path("vm"), path());
  pid_t sender = ::fork();  // the process that sends first is a child of the one that stays
  ASSERT_GE(sender, 0);
  if (sender == 0) _exit(client.send(frame_of(60, 1)) ? 0 : 1);
  ASSERT_EQ(::waitpid(sender, nullptr, 0), sender);
  EXPECT_EQ(read().size(), 1U);
  EXPECT_EQ(socket_->client().pid, sender);
  EXPECT_FALSE(watch->peer_gone());
  client.close();
  EXPECT_TRUE(watch->peer_gone());
}

}  // namespace
}  // namespace vmnet
