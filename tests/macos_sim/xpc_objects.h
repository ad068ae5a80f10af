#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include <xpc/xpc.h>

namespace macos_sim {

using UuidBytes = std::array<uint8_t, 16>;

// One XPC object. Containers own a reference to what they hold.
struct Object {
  using Array = std::vector<Object*>;
  using Dictionary = std::map<std::string, Object*>;
  using Value = std::variant<std::monostate, bool, int64_t, uint64_t, std::string, UuidBytes, Array,
                             Dictionary>;

  Object(xpc_type_t object_type, Value object_value);
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object();

  xpc_type_t type;
  Value value;
  std::atomic<int> references = 1;
};

// A rule is broken where `object` is none, or has been released.
Object* require_object(xpc_object_t object);
Object* require_object(xpc_object_t object, xpc_type_t type);

Object* new_string(const std::string& text);
Object* new_array(const std::vector<std::string>& texts);
Object* new_error();

// Sets an entry, giving the caller's reference away.
void give(xpc_object_t dictionary, const char* key, Object* value);

// Waits a little for other threads, then: a rule is broken where objects are still there.
void require_no_objects();

}  // namespace macos_sim
