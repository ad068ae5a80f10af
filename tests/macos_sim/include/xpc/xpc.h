// The part of XPC that src/macos uses, for the simulated system.
#pragma once

#include <dispatch/dispatch.h>
#include <stddef.h>
#include <stdint.h>

extern "C" {

typedef void* xpc_object_t;
typedef struct xpc_connection_s* xpc_connection_t;
typedef const struct xpc_type_s* xpc_type_t;
typedef void (^xpc_handler_t)(xpc_object_t object);
typedef bool (^xpc_dictionary_applier_t)(const char* key, xpc_object_t value);

extern const struct xpc_type_s* const XPC_TYPE_ARRAY;
extern const struct xpc_type_s* const XPC_TYPE_BOOL;
extern const struct xpc_type_s* const XPC_TYPE_CONNECTION;
extern const struct xpc_type_s* const XPC_TYPE_DICTIONARY;
extern const struct xpc_type_s* const XPC_TYPE_ERROR;
extern const struct xpc_type_s* const XPC_TYPE_INT64;
extern const struct xpc_type_s* const XPC_TYPE_STRING;
extern const struct xpc_type_s* const XPC_TYPE_UINT64;
extern const struct xpc_type_s* const XPC_TYPE_UUID;

xpc_object_t xpc_retain(xpc_object_t object);
void xpc_release(xpc_object_t object);
xpc_type_t xpc_get_type(xpc_object_t object);

int64_t xpc_int64_get_value(xpc_object_t object);
uint64_t xpc_uint64_get_value(xpc_object_t object);
const char* xpc_string_get_string_ptr(xpc_object_t object);
const uint8_t* xpc_uuid_get_bytes(xpc_object_t object);

size_t xpc_array_get_count(xpc_object_t array);
const char* xpc_array_get_string(xpc_object_t array, size_t index);

xpc_object_t xpc_dictionary_create(const char* const* keys, const xpc_object_t* values,
                                   size_t count);
xpc_object_t xpc_dictionary_get_value(xpc_object_t dictionary, const char* key);
bool xpc_dictionary_apply(xpc_object_t dictionary, xpc_dictionary_applier_t applier);
void xpc_dictionary_set_value(xpc_object_t dictionary, const char* key, xpc_object_t value);
void xpc_dictionary_set_bool(xpc_object_t dictionary, const char* key, bool value);
void xpc_dictionary_set_int64(xpc_object_t dictionary, const char* key, int64_t value);
void xpc_dictionary_set_uint64(xpc_object_t dictionary, const char* key, uint64_t value);
void xpc_dictionary_set_string(xpc_object_t dictionary, const char* key, const char* value);
void xpc_dictionary_set_uuid(xpc_object_t dictionary, const char* key, const uint8_t* value);

xpc_connection_t xpc_connection_create_mach_service(const char* name, dispatch_queue_t queue,
                                                    uint64_t flags);
void xpc_connection_set_event_handler(xpc_connection_t connection, xpc_handler_t handler);
void xpc_connection_resume(xpc_connection_t connection);
void xpc_connection_cancel(xpc_connection_t connection);
void xpc_connection_send_message_with_reply(xpc_connection_t connection, xpc_object_t message,
                                            dispatch_queue_t queue, xpc_handler_t handler);
}
