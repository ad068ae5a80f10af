// Ownership of XPC objects, and typed reads that take nothing for granted: what another process
// sent may have any shape.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include <xpc/xpc.h>

#include "base/uuid.h"

namespace vmnet {

// One reference to an XPC object, or none.
class XpcObject {
 public:
  XpcObject() = default;
  // Takes over a reference that the caller owns: what xpc_*_create and *_copy_* return.
  explicit XpcObject(xpc_object_t object) : object_(object) {}
  // A reference of its own to an object that someone else owns.
  static XpcObject retain(xpc_object_t object) {
    return XpcObject(object == nullptr ? nullptr : xpc_retain(object));
  }
  XpcObject(XpcObject&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  XpcObject& operator=(XpcObject&& other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  XpcObject(const XpcObject&) = delete;
  XpcObject& operator=(const XpcObject&) = delete;
  ~XpcObject() {
    if (object_ != nullptr) xpc_release(object_);
  }

  xpc_object_t get() const { return object_; }

 private:
  xpc_object_t object_ = nullptr;
};

// Entries of `dictionary`, nothing where there is none of that type. A null `key` or `dictionary`
// has none.
std::optional<uint64_t> xpc_uint64(xpc_object_t dictionary, const char* key);
std::optional<int64_t> xpc_int64(xpc_object_t dictionary, const char* key);
std::optional<std::string> xpc_string(xpc_object_t dictionary, const char* key);
std::optional<Uuid> xpc_uuid(xpc_object_t dictionary, const char* key);

// "KEY=VALUE, KEY=VALUE": the integers, strings and UUIDs of a dictionary, for the log.
std::string describe_dictionary(xpc_object_t dictionary);

}  // namespace vmnet
