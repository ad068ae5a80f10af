// Serial queues: a thread each, that runs blocks in order. A released queue ends when its blocks
// have run, which the release does not wait for.
#include "dispatch.h"

#include <condition_variable>
#include <csignal>
#include <deque>
#include <mutex>
#include <set>
#include <thread>

#include <Block.h>

#include "rules.h"

struct dispatch_queue_s {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<dispatch_block_t> blocks;
  bool released = false;
};

namespace macos_sim {
namespace {

std::mutex queues_mutex;
std::set<dispatch_queue_t> queues;  // that are not released

void run_blocks(dispatch_queue_t queue) {
  std::unique_lock lock(queue->mutex);
  while (true) {
    queue->changed.wait(lock, [queue] { return queue->released || !queue->blocks.empty(); });
    if (queue->blocks.empty()) break;
    dispatch_block_t block = queue->blocks.front();
    queue->blocks.pop_front();
    lock.unlock();
    block();
    Block_release(block);
    lock.lock();
  }
  lock.unlock();
  delete queue;
}

}  // namespace

void require_queue(dispatch_queue_t queue) {
  require(queue != nullptr, "a callback without a queue");
  std::scoped_lock lock(queues_mutex);
  require(queues.contains(queue), "a queue that is released");
}

}  // namespace macos_sim

using namespace macos_sim;

dispatch_queue_t dispatch_queue_create(const char* /*label*/, dispatch_queue_attr_t attributes) {
  require(attributes == DISPATCH_QUEUE_SERIAL, "a queue that is not serial");
  auto* queue = new dispatch_queue_s;
  {
    std::scoped_lock lock(queues_mutex);
    queues.insert(queue);
  }
  // Like libdispatch's own, its threads take no signals.
  sigset_t all;
  sigset_t former;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &former);
  std::thread(run_blocks, queue).detach();
  pthread_sigmask(SIG_SETMASK, &former, nullptr);
  return queue;
}

void dispatch_async(dispatch_queue_t queue, dispatch_block_t block) {
  require_queue(queue);
  std::scoped_lock lock(queue->mutex);
  queue->blocks.push_back(Block_copy(block));
  queue->changed.notify_one();
}

void dispatch_release(dispatch_queue_t queue) {
  require_queue(queue);
  {
    std::scoped_lock lock(queues_mutex);
    queues.erase(queue);
  }
  std::scoped_lock lock(queue->mutex);
  queue->released = true;
  queue->changed.notify_one();
}
