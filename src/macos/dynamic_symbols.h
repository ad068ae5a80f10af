// What only newer systems have, or what no header declares: looked up when the program runs.
//
// One binary then serves every system from macOS 13 on, whatever SDK built it; a weak reference
// would need a header that declares the symbol.
#pragma once

namespace vmnet {

// The address of an exported function or variable of the libraries that are loaded; null where this
// system does not have it.
void* find_symbol(const char* name);

// The function `name`, of type F.
template <typename F>
F* find_function(const char* name) {
  return reinterpret_cast<F*>(find_symbol(name));
}

// The text of a vmnet dictionary key, which is a variable of vmnet.framework; null where this
// system does not have it.
const char* find_key(const char* name);

}  // namespace vmnet
