#include "base/thread.h"

#include <memory>

namespace vmnet {
namespace {

// A forwarder's frames lie in batches on the heap; what a sanitizer adds has room too.
constexpr size_t kStackSize = 1 << 20;

void* run(void* argument) {
  const std::unique_ptr<std::function<void()>> body(static_cast<std::function<void()>*>(argument));
  (*body)();
  return nullptr;
}

}  // namespace

Result<Thread> Thread::start(std::function<void()> body) {
  pthread_attr_t attributes;
  int error = pthread_attr_init(&attributes);
  if (error != 0) return fail_errno("cannot start a thread", error);
  pthread_attr_setstacksize(&attributes, kStackSize);
  auto owned = std::make_unique<std::function<void()>>(std::move(body));
  Thread thread;
  error = pthread_create(&thread.id_, &attributes, run, owned.get());
  pthread_attr_destroy(&attributes);
  if (error != 0) return fail_errno("cannot start a thread", error);
  [[maybe_unused]] auto* the_threads = owned.release();
  thread.running_ = true;
  return thread;
}

void Thread::join() {
  if (std::exchange(running_, false)) pthread_join(id_, nullptr);
}

}  // namespace vmnet
