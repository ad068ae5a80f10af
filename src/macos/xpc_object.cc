#include "macos/xpc_object.h"

#include <algorithm>

#include <fmt/format.h>

namespace vmnet {
namespace {

// The value, if it has that type. Owned by the dictionary.
xpc_object_t typed_value(xpc_object_t dictionary, const char* key, xpc_type_t type) {
  if (dictionary == nullptr || key == nullptr) return nullptr;
  xpc_object_t value = xpc_dictionary_get_value(dictionary, key);
  return value != nullptr && xpc_get_type(value) == type ? value : nullptr;
}

Uuid uuid_value(xpc_object_t value) {
  Uuid uuid;
  std::copy_n(xpc_uuid_get_bytes(value), uuid.bytes.size(), uuid.bytes.begin());
  return uuid;
}

std::optional<std::string> describe_value(xpc_object_t value) {
  xpc_type_t type = xpc_get_type(value);
  if (type == XPC_TYPE_UINT64) return fmt::format("{}", xpc_uint64_get_value(value));
  if (type == XPC_TYPE_INT64) return fmt::format("{}", xpc_int64_get_value(value));
  if (type == XPC_TYPE_STRING) return std::string(xpc_string_get_string_ptr(value));
  if (type == XPC_TYPE_UUID) return to_string(uuid_value(value));
  return std::nullopt;
}

}  // namespace

std::optional<uint64_t> xpc_uint64(xpc_object_t dictionary, const char* key) {
  xpc_object_t value = typed_value(dictionary, key, XPC_TYPE_UINT64);
  if (value == nullptr) return std::nullopt;
  return xpc_uint64_get_value(value);
}

std::optional<int64_t> xpc_int64(xpc_object_t dictionary, const char* key) {
  xpc_object_t value = typed_value(dictionary, key, XPC_TYPE_INT64);
  if (value == nullptr) return std::nullopt;
  return xpc_int64_get_value(value);
}

std::optional<std::string> xpc_string(xpc_object_t dictionary, const char* key) {
  xpc_object_t value = typed_value(dictionary, key, XPC_TYPE_STRING);
  if (value == nullptr) return std::nullopt;
  return std::string(xpc_string_get_string_ptr(value));
}

std::optional<Uuid> xpc_uuid(xpc_object_t dictionary, const char* key) {
  xpc_object_t value = typed_value(dictionary, key, XPC_TYPE_UUID);
  if (value == nullptr) return std::nullopt;
  return uuid_value(value);
}

std::string describe_dictionary(xpc_object_t dictionary) {
  if (dictionary == nullptr || xpc_get_type(dictionary) != XPC_TYPE_DICTIONARY) return "nothing";
  __block std::string text;
  xpc_dictionary_apply(dictionary, ^bool(const char* key, xpc_object_t value) {
    if (auto described = describe_value(value)) {
      if (!text.empty()) text += ", ";
      text += fmt::format("{}={}", key, *described);
    }
    return true;
  });
  return text;
}

}  // namespace vmnet
