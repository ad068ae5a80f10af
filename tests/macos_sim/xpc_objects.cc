#include "xpc_objects.h"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <set>
#include <thread>

#include "rules.h"

struct xpc_type_s {};

namespace macos_sim {
namespace {

constexpr xpc_type_s kArray, kBool, kConnection, kDictionary, kError, kInt64, kString, kUint64,
    kUuid;

std::mutex& objects_mutex() {
  static auto* mutex = new std::mutex;
  return *mutex;
}

std::set<const void*>& objects() {
  static auto* live = new std::set<const void*>;
  return *live;
}

}  // namespace

Object::Object(xpc_type_t object_type, Value object_value)
    : type(object_type), value(std::move(object_value)) {
  std::scoped_lock lock(objects_mutex());
  objects().insert(this);
}

Object::~Object() {
  if (auto* array = std::get_if<Array>(&value)) std::ranges::for_each(*array, xpc_release);
  if (auto* dictionary = std::get_if<Dictionary>(&value)) {
    for (auto& [key, entry] : *dictionary) xpc_release(entry);
  }
  std::scoped_lock lock(objects_mutex());
  objects().erase(this);
}

Object* require_object(xpc_object_t object) {
  std::scoped_lock lock(objects_mutex());
  require(objects().contains(object), "an XPC object that is none, or released");
  return static_cast<Object*>(object);
}

Object* require_object(xpc_object_t object, xpc_type_t type) {
  Object* found = require_object(object);
  require(found->type == type, "an XPC object of another type");
  return found;
}

Object* new_string(const std::string& text) { return new Object(XPC_TYPE_STRING, text); }

Object* new_array(const std::vector<std::string>& texts) {
  Object::Array array;
  for (const std::string& text : texts) array.push_back(new_string(text));
  return new Object(XPC_TYPE_ARRAY, array);
}

Object* new_error() { return new Object(XPC_TYPE_ERROR, std::monostate()); }

void give(xpc_object_t dictionary, const char* key, Object* value) {
  require(key != nullptr, "a dictionary key that is null");
  auto& entries =
      std::get<Object::Dictionary>(require_object(dictionary, XPC_TYPE_DICTIONARY)->value);
  auto entry = entries.find(key);
  if (entry != entries.end()) xpc_release(entry->second);
  entries[key] = value;
}

void require_no_objects() {
  for (int wait = 0; wait < 100; wait++) {
    {
      std::scoped_lock lock(objects_mutex());
      if (objects().empty()) return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  broken_rule("XPC objects were not released");
}

}  // namespace macos_sim

using namespace macos_sim;

const xpc_type_s* const XPC_TYPE_ARRAY = &kArray;
const xpc_type_s* const XPC_TYPE_BOOL = &kBool;
const xpc_type_s* const XPC_TYPE_CONNECTION = &kConnection;
const xpc_type_s* const XPC_TYPE_DICTIONARY = &kDictionary;
const xpc_type_s* const XPC_TYPE_ERROR = &kError;
const xpc_type_s* const XPC_TYPE_INT64 = &kInt64;
const xpc_type_s* const XPC_TYPE_STRING = &kString;
const xpc_type_s* const XPC_TYPE_UINT64 = &kUint64;
const xpc_type_s* const XPC_TYPE_UUID = &kUuid;

xpc_object_t xpc_retain(xpc_object_t object) {
  require_object(object)->references++;
  return object;
}

void xpc_release(xpc_object_t object) {
  Object* released = require_object(object);
  if (--released->references == 0) delete released;
}

xpc_type_t xpc_get_type(xpc_object_t object) { return require_object(object)->type; }

int64_t xpc_int64_get_value(xpc_object_t object) {
  return std::get<int64_t>(require_object(object, XPC_TYPE_INT64)->value);
}

uint64_t xpc_uint64_get_value(xpc_object_t object) {
  return std::get<uint64_t>(require_object(object, XPC_TYPE_UINT64)->value);
}

const char* xpc_string_get_string_ptr(xpc_object_t object) {
  return std::get<std::string>(require_object(object, XPC_TYPE_STRING)->value).c_str();
}

const uint8_t* xpc_uuid_get_bytes(xpc_object_t object) {
  return std::get<UuidBytes>(require_object(object, XPC_TYPE_UUID)->value).data();
}

size_t xpc_array_get_count(xpc_object_t array) {
  return std::get<Object::Array>(require_object(array, XPC_TYPE_ARRAY)->value).size();
}

const char* xpc_array_get_string(xpc_object_t array, size_t index) {
  auto& items = std::get<Object::Array>(require_object(array, XPC_TYPE_ARRAY)->value);
  require(index < items.size(), "an index beyond an array");
  return items[index]->type == XPC_TYPE_STRING ? xpc_string_get_string_ptr(items[index]) : nullptr;
}

xpc_object_t xpc_dictionary_create(const char* const* /*keys*/, const xpc_object_t* /*values*/,
                                   size_t count) {
  require(count == 0, "the simulated dictionary begins empty");
  return new Object(XPC_TYPE_DICTIONARY, Object::Dictionary());
}

xpc_object_t xpc_dictionary_get_value(xpc_object_t dictionary, const char* key) {
  auto& entries =
      std::get<Object::Dictionary>(require_object(dictionary, XPC_TYPE_DICTIONARY)->value);
  auto entry = entries.find(key);
  return entry == entries.end() ? nullptr : entry->second;
}

bool xpc_dictionary_apply(xpc_object_t dictionary, xpc_dictionary_applier_t applier) {
  auto& entries =
      std::get<Object::Dictionary>(require_object(dictionary, XPC_TYPE_DICTIONARY)->value);
  return std::ranges::all_of(
      entries, [&](auto& entry) { return applier(entry.first.c_str(), entry.second); });
}

void xpc_dictionary_set_value(xpc_object_t dictionary, const char* key, xpc_object_t value) {
  give(dictionary, key, static_cast<Object*>(xpc_retain(value)));
}

void xpc_dictionary_set_bool(xpc_object_t dictionary, const char* key, bool value) {
  give(dictionary, key, new Object(XPC_TYPE_BOOL, value));
}

void xpc_dictionary_set_int64(xpc_object_t dictionary, const char* key, int64_t value) {
  give(dictionary, key, new Object(XPC_TYPE_INT64, value));
}

void xpc_dictionary_set_uint64(xpc_object_t dictionary, const char* key, uint64_t value) {
  give(dictionary, key, new Object(XPC_TYPE_UINT64, value));
}

void xpc_dictionary_set_string(xpc_object_t dictionary, const char* key, const char* value) {
  give(dictionary, key, new_string(value));
}

void xpc_dictionary_set_uuid(xpc_object_t dictionary, const char* key, const uint8_t* value) {
  UuidBytes bytes;
  std::copy_n(value, bytes.size(), bytes.begin());
  give(dictionary, key, new Object(XPC_TYPE_UUID, bytes));
}
