// The part of libdispatch that src/macos uses, for the simulated system.
#pragma once

#include <stdint.h>

extern "C" {

typedef struct dispatch_queue_s* dispatch_queue_t;
typedef struct dispatch_queue_attr_s* dispatch_queue_attr_t;
typedef void (^dispatch_block_t)(void);

inline constexpr dispatch_queue_attr_t DISPATCH_QUEUE_SERIAL = nullptr;

dispatch_queue_t dispatch_queue_create(const char* label, dispatch_queue_attr_t attributes);
void dispatch_async(dispatch_queue_t queue, dispatch_block_t block);
void dispatch_release(dispatch_queue_t queue);
}
