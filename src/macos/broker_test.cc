#include "macos/broker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vmnet {
namespace {

using testing::HasSubstr;

XpcObject dictionary() { return XpcObject(xpc_dictionary_create(nullptr, nullptr, 0)); }

TEST(BrokerReply, GivesTheNetwork) {
  XpcObject reply = dictionary();
  xpc_dictionary_set_string(reply.get(), "network", "serialization");
  auto network = read_broker_reply(reply.get());
  ASSERT_TRUE(network) << network.error().message;
  EXPECT_EQ(network->get(), xpc_dictionary_get_value(reply.get(), "network"));
}

TEST(BrokerReply, PutsEachErrorIntoWords) {
  for (int64_t error = 1; error <= 7; error++) {
    XpcObject reply = dictionary();
    xpc_dictionary_set_int64(reply.get(), "error", error);
    auto network = read_broker_reply(reply.get());
    ASSERT_FALSE(network);
    EXPECT_THAT(network.error().message, HasSubstr("error " + std::to_string(error)));
    EXPECT_THAT(network.error().message, testing::Not(HasSubstr("unknown")));
  }
  for (int64_t error : {int64_t{0}, int64_t{8}, int64_t{-1}, INT64_MIN, INT64_MAX}) {
    XpcObject reply = dictionary();
    xpc_dictionary_set_int64(reply.get(), "error", error);
    EXPECT_THAT(read_broker_reply(reply.get()).error().message, HasSubstr("unknown"));
  }
}

TEST(BrokerReply, RefusesAnotherShape) {
  EXPECT_THAT(read_broker_reply(dictionary().get()).error().message, HasSubstr("no network"));
  XpcObject holder = dictionary();
  xpc_dictionary_set_string(holder.get(), "text", "not a dictionary");
  xpc_object_t text = xpc_dictionary_get_value(holder.get(), "text");
  EXPECT_THAT(read_broker_reply(text).error().message, HasSubstr("no dictionary"));
}

}  // namespace
}  // namespace vmnet
