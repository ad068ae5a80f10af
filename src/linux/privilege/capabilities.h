// The process's capability sets, by the raw system calls (capabilities(7)): libcap would be one
// more library in a root program for four small functions.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/result.h"

namespace vmnet {

// Bit n is capability n of linux/capability.h.
using CapabilitySet = uint64_t;

CapabilitySet capability_set(std::initializer_list<int> capabilities);

struct CapabilitySets {
  CapabilitySet effective = 0;
  CapabilitySet permitted = 0;
  CapabilitySet inheritable = 0;
};

// Of the calling thread.
Result<CapabilitySets> read_capabilities();
Status write_capabilities(const CapabilitySets& sets);

// Empties the ambient set and, as far as the process may (CAP_SETPCAP), the bounding set.
void drop_bounding_and_ambient();

// "CAP_NET_ADMIN, CAP_SETGID": those of `wanted` that are not in effect; empty where all are.
std::string missing_capabilities(std::initializer_list<int> wanted);

// Why setgroups(2) has failed with EPERM: a user namespace may deny it to everybody
// (user_namespaces(7)).
std::string_view why_no_groups();

}  // namespace vmnet
