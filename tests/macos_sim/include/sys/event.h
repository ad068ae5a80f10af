// kqueue(2), signals only, for the simulated system.
#pragma once

#include <stdint.h>
#include <time.h>

inline constexpr int16_t EVFILT_SIGNAL = -6;
inline constexpr uint16_t EV_ADD = 1;

struct kevent {
  uintptr_t ident;
  int16_t filter;
  uint16_t flags;
  uint32_t fflags;
  intptr_t data;
  void* udata;
};

extern "C" {
int kqueue(void);
int kevent(int queue, const struct kevent* changes, int change_count, struct kevent* events,
           int event_count, const struct timespec* timeout);
}
