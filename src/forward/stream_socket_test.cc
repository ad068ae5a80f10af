#include "forward/stream_socket.h"

#include <csignal>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>

#include "forward/vm_socket_test_support.h"
#include "wire/bytes.h"

namespace vmnet {
namespace {

using namespace testing;

constexpr size_t kMaxWithTags = kMaxFrame + 8;

Frame framed(const std::vector<Frame>& frames) {
  Frame stream;
  for (const Frame& frame : frames) {
    std::array<uint8_t, kLengthSize> length{};
    store_be32(length.data(), static_cast<uint32_t>(frame.size()));
    stream.insert(stream.end(), length.begin(), length.end());
    stream.insert(stream.end(), frame.begin(), frame.end());
  }
  return stream;
}

Frame numbered(size_t number, size_t size = 1514) {
  Frame frame(size, static_cast<uint8_t>(number));
  store_be32(frame.data(), static_cast<uint32_t>(number));
  return frame;
}

class StreamTest : public ::testing::Test {
 protected:
  StreamTest() { (void)std::signal(SIGPIPE, SIG_IGN); }

  std::vector<Frame> read() {
    last_read_ = socket_->read(in_);
    return frames_in(in_);
  }
  Transfer write(const std::vector<Frame>& frames) {
    fill(out_, frames);
    return socket_->write(out_);
  }
  // Takes what is there out of the VM's end, at most `limit` bytes, and the frames it completes.
  std::vector<Frame> take(int vm, size_t limit = SIZE_MAX) {
    std::vector<Frame> frames;
    Frame buffer(4096);
    while (limit > 0) {
      ssize_t size = ::recv(vm, buffer.data(), std::min(buffer.size(), limit), MSG_DONTWAIT);
      if (size <= 0) break;
      limit -= static_cast<size_t>(size);
      taken_.insert(taken_.end(), buffer.begin(), buffer.begin() + size);
    }
    while (taken_.size() >= kLengthSize) {
      size_t end = kLengthSize + load_be32(taken_.data());
      if (taken_.size() < end) break;
      frames.emplace_back(taken_.begin() + kLengthSize,
                          taken_.begin() + static_cast<ptrdiff_t>(end));
      taken_.erase(taken_.begin(), taken_.begin() + static_cast<ptrdiff_t>(end));
    }
    return frames;
  }

  DirectionStats replies_;
  ReceiveBatch in_{StreamExtractor::kMaxFrames, 0};
  SendBatch out_{4096, 8192};
  std::unique_ptr<StreamSocket> socket_;
  Transfer last_read_;
  Frame taken_;  // the begin of a frame
};

class ConnectedStream : public StreamTest {
 protected:
  ConnectedStream() : pair_(SOCK_STREAM) {
    socket_ = *StreamSocket::connected(std::move(pair_.ours), kMaxWithTags, replies_);
  }
  int vm() const { return pair_.vm.get(); }

  SocketPair pair_;
};

TEST_F(ConnectedStream, MovesFramesBothWays) {
  std::vector<Frame> frames = {numbered(1), numbered(2, 60), numbered(3, 14)};
  ASSERT_TRUE(send_to(vm(), framed(frames)));
  EXPECT_EQ(read(), frames);
  EXPECT_EQ(last_read_.frames, 3U);
  EXPECT_EQ(last_read_.bytes, 1514U + 60 + 14);
  EXPECT_EQ(last_read_.batched_calls, 1U);
  EXPECT_TRUE(last_read_.drained);
  EXPECT_TRUE(read().empty());
  EXPECT_FALSE(last_read_.gone);

  Transfer written = write(frames);
  EXPECT_EQ(written.frames, 3U);
  EXPECT_EQ(written.bytes, 1514U + 60 + 14);
  EXPECT_EQ(written.batched_calls, 1U);
  EXPECT_EQ(take(vm()), frames);
}

TEST_F(ConnectedStream, ASmallBatchIsFilledAgainWithoutARead) {
  std::vector<Frame> frames;
  for (size_t i = 0; i < 10; i++) frames.push_back(numbered(i, 100));
  ASSERT_TRUE(send_to(vm(), framed(frames)));
  ReceiveBatch small(4, 0);
  std::vector<Frame> came;
  for (int i = 0; i < 3; i++) {
    Transfer transfer = socket_->read(small);
    EXPECT_EQ(transfer.batched_calls, i == 0 ? 1U : 0U);
    for (const Frame& frame : frames_in(small)) came.push_back(frame);
  }
  EXPECT_EQ(came, frames);
}

TEST_F(ConnectedStream, TheEndOfTheVmIsTheEnd) {
  ASSERT_TRUE(send_to(vm(), framed({numbered(1)})));
  pair_.vm.reset();
  EXPECT_EQ(read().size(), 1U);
  EXPECT_FALSE(last_read_.gone);
  read();
  EXPECT_TRUE(last_read_.gone);
  EXPECT_EQ(write({numbered(1)}).drops, 1U);
}

TEST_F(ConnectedStream, ALengthAboveTheMaximumIsTheEndAndSaidSo) {
  ASSERT_TRUE(send_to(vm(), framed({numbered(1), Frame(kMaxWithTags), Frame(kMaxWithTags + 1)})));
  EXPECT_EQ(read().size(), 2U);
  EXPECT_TRUE(last_read_.gone);
  EXPECT_NE(socket_->client().fault.find("1523 bytes"), std::string::npos);
}

// What a VM takes that stops reading and begins again is whole frames in their order.
TEST_F(ConnectedStream, AStalledVmLosesWholeFramesOnly) {
  std::vector<Frame> batch;
  for (size_t i = 0; i < 600; i++) batch.push_back(numbered(i));
  Transfer first = write(batch);
  EXPECT_GT(first.frames, 10U);
  EXPECT_GT(first.drops, 10U);
  EXPECT_EQ(first.frames + first.drops, 600U);
  // At once from now on.
  Transfer second = write({numbered(600)});
  EXPECT_EQ(second.drops, 1U);
  // A few bytes of room at a time: the rest of the begun frame goes first.
  std::vector<Frame> came;
  size_t sent = first.frames;
  for (size_t i = 0; i < 400; i++) {
    for (const Frame& frame : take(vm(), 3001)) came.push_back(frame);
    sent += write({numbered(1000 + i)}).frames;
    socket_->send(numbered(2000 + i, 300));
  }
  sent += replies_.counts().packets;
  for (int i = 0; i < 2; i++) {  // the second time what was left of the last frame
    for (const Frame& frame : take(vm())) came.push_back(frame);
    sent += write({numbered(5000)}).frames;
  }
  for (const Frame& frame : take(vm())) came.push_back(frame);
  EXPECT_EQ(came.size(), sent);
  uint32_t last = 0;
  for (const Frame& frame : came) {
    uint32_t number = load_be32(frame.data());
    EXPECT_EQ(frame, numbered(number, number / 1000 == 2 ? 300 : 1514));
    if (number / 1000 != 1) continue;
    EXPECT_GT(number, last);
    last = number;
  }
  EXPECT_TRUE(taken_.empty());
}

TEST_F(ConnectedStream, WaitsForAVmThatReads) {
  std::vector<Frame> batch;
  for (size_t i = 0; i < 1000; i++) batch.push_back(numbered(i));
  std::vector<Frame> came;
  std::thread reader([&] {
    while (came.size() < batch.size()) {
      pollfd entry{.fd = vm(), .events = POLLIN, .revents = 0};
      if (::poll(&entry, 1, 10'000) != 1) return;
      for (Frame& frame : take(vm(), 5000)) came.push_back(std::move(frame));
    }
  });
  Transfer written = write(batch);
  reader.join();
  EXPECT_EQ(written.drops, 0U);
  EXPECT_EQ(came, batch);
}

TEST_F(ConnectedStream, NeverSendsWhatCannotBe) {
  Transfer written = write({numbered(1), {}, Frame(kMaxWithTags + 1), numbered(2)});
  EXPECT_EQ(written.frames, 2U);
  EXPECT_EQ(written.drops, 2U);
  socket_->send({});
  EXPECT_EQ(replies_.counts().drops, 1U);
  EXPECT_EQ(take(vm()), (std::vector<Frame>{numbered(1), numbered(2)}));
}

class ListeningStream : public StreamTest {
 protected:
  ListeningStream() { listen_as(::geteuid()); }

  void listen_as(uid_t uid) {
    std::string name = "helper" + std::to_string(uid);
    UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM, 0));
    path_ = folder_ / name;
    sockaddr_un address = address_of(path_);
    EXPECT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(::listen(listener.get(), 16), 0);
    ::fcntl(listener.get(), F_SETFL, O_NONBLOCK);
    socket_ = *StreamSocket::listening(std::move(listener), uid, kMaxWithTags, replies_);
  }
  UniqueFd connect() const {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM, 0));
    EXPECT_TRUE(connect_to_path(fd.get(), path_));
    return fd;
  }
  static bool is_readable(int fd) {
    pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
    return ::poll(&entry, 1, 0) == 1;
  }
  static bool is_closed(int fd) {
    char byte = 0;
    return ::recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
  }

  TemporaryFolder folder_;
  std::string path_;
};

TEST_F(ListeningStream, ServesOneAfterTheOther) {
  EXPECT_EQ(write({numbered(1)}).drops, 1U);
  for (uint64_t i = 0; i < 3; i++) {
    UniqueFd vm = connect();
    EXPECT_TRUE(is_readable(socket_->admission_fd()));
    socket_->accept_clients();
    EXPECT_EQ(socket_->client().epoch, 2 * i + 1);
    EXPECT_TRUE(is_readable(socket_->client_changed().fd()));
    EXPECT_TRUE(is_readable(socket_->ready_fd()));
    ASSERT_TRUE(send_to(vm.get(), framed({numbered(7)})));
    EXPECT_EQ(read().size(), 1U);
    EXPECT_EQ(write({numbered(8)}).frames, 1U);
    EXPECT_EQ(take(vm.get()).size(), 1U);
    ASSERT_TRUE(send_to(vm.get(), {0, 0, 0}));  // not the next one's
    EXPECT_TRUE(read().empty());
    vm.reset();
    read();
    EXPECT_FALSE(last_read_.gone);
    EXPECT_EQ(last_read_.drops, 1U);
    EXPECT_EQ(socket_->client().epoch, 2 * i + 2);
    EXPECT_FALSE(is_readable(socket_->ready_fd()));
  }
}

TEST_F(ListeningStream, RefusesASecondClientAndServesTheFirst) {
  UniqueFd first = connect();
  socket_->accept_clients();
  UniqueFd second = connect();
  socket_->accept_clients();
  EXPECT_TRUE(is_closed(second.get()));
  EXPECT_EQ(socket_->refused(), 1U);
  ASSERT_TRUE(send_to(first.get(), framed({numbered(1)})));
  EXPECT_EQ(read().size(), 1U);
}

// Its end is seen by who reads, who may not have come to it.
TEST_F(ListeningStream, WhoComesAfterTheEndWaitsUntilItIsSeen) {
  UniqueFd first = connect();
  socket_->accept_clients();
  read();
  ASSERT_TRUE(send_to(first.get(), framed({numbered(1)})));
  first.reset();
  UniqueFd second = connect();
  socket_->accept_clients();
  EXPECT_EQ(socket_->admission_fd(), -1);
  EXPECT_EQ(socket_->client().epoch, 1U);
  EXPECT_EQ(read().size(), 1U);
  read();
  EXPECT_TRUE(is_readable(socket_->client_changed().fd()));
  socket_->accept_clients();
  EXPECT_EQ(socket_->client().epoch, 3U);
  ASSERT_TRUE(send_to(second.get(), framed({numbered(2)})));
  EXPECT_EQ(read(), std::vector<Frame>{numbered(2)});
  EXPECT_EQ(socket_->refused(), 0U);
}

TEST_F(ListeningStream, RefusesOtherUsers) {
  if (::geteuid() == 0) GTEST_SKIP() << "root is always served";
  listen_as(::geteuid() + 1);
  UniqueFd vm = connect();
  socket_->accept_clients();
  EXPECT_TRUE(is_closed(vm.get()));
  EXPECT_EQ(socket_->refused(), 1U);
}

// The begun frame was another client's.
TEST_F(ListeningStream, WhatIsLeftOfAFrameEndsWithItsClient) {
  UniqueFd first = connect();
  socket_->accept_clients();
  read();
  std::vector<Frame> batch(4000, numbered(1));
  EXPECT_GT(write(batch).drops, 0U);
  first.reset();
  read();
  UniqueFd second = connect();
  socket_->accept_clients();
  EXPECT_EQ(write({numbered(2)}).frames, 1U);
  EXPECT_EQ(take(second.get()), std::vector<Frame>{numbered(2)});
}

TEST_F(ListeningStream, ALengthAboveTheMaximumEndsThatClientAlone) {
  UniqueFd vm = connect();
  socket_->accept_clients();
  read();
  ASSERT_TRUE(send_to(vm.get(), framed({Frame(kMaxWithTags + 1)})));
  read();
  EXPECT_FALSE(last_read_.gone);
  EXPECT_TRUE(is_closed(vm.get()));
  EXPECT_EQ(socket_->client().faults, 1U);
  UniqueFd next = connect();
  socket_->accept_clients();
  EXPECT_TRUE(socket_->client().attached);
}

}  // namespace
}  // namespace vmnet
