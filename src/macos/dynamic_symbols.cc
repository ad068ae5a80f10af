#include "macos/dynamic_symbols.h"

#include <dlfcn.h>

namespace vmnet {

void* find_symbol(const char* name) { return ::dlsym(RTLD_DEFAULT, name); }

const char* find_key(const char* name) {
  const auto* key = static_cast<const char* const*>(find_symbol(name));
  return key == nullptr ? nullptr : *key;
}

}  // namespace vmnet
