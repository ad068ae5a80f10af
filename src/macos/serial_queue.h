// A serial dispatch queue: what the system calls back runs there, one block at a time.
#pragma once

#include <dispatch/dispatch.h>

namespace vmnet {

class SerialQueue {
 public:
  explicit SerialQueue(const char* label)
      : queue_(dispatch_queue_create(label, DISPATCH_QUEUE_SERIAL)) {}
  SerialQueue(const SerialQueue&) = delete;
  SerialQueue& operator=(const SerialQueue&) = delete;
  ~SerialQueue() { dispatch_release(queue_); }

  dispatch_queue_t get() const { return queue_; }

 private:
  dispatch_queue_t queue_;
};

}  // namespace vmnet
