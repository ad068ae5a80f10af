// Symbols that a test says are missing are missing.
#pragma once

#include_next <dlfcn.h>

extern "C" void* macos_sim_dlsym(void* handle, const char* name);

#define dlsym macos_sim_dlsym
