#include "base/dns_label.h"

#include <gtest/gtest.h>

namespace vmnet {
namespace {

TEST(DnsLabel, IsTakenInLowerCase) {
  EXPECT_EQ(parse_dns_label("lab"), "lab");
  EXPECT_EQ(parse_dns_label("Lab-2"), "lab-2");
  EXPECT_EQ(parse_dns_label("7"), "7");
  EXPECT_EQ(parse_dns_label("a--b"), "a--b");
  EXPECT_EQ(parse_dns_label(std::string(63, 'Z')), std::string(63, 'z'));
}

TEST(DnsLabel, AnythingElseIsNone) {
  for (const std::string& text :
       {std::string(), std::string("-"), std::string("-x"), std::string("x-"), std::string("a.b"),
        std::string("a."), std::string("a_b"), std::string("a b"), std::string("a\n"),
        std::string("a/b"), std::string("\xc3\xa9"), std::string("a\0b", 3),
        std::string(64, 'a')}) {
    EXPECT_FALSE(parse_dns_label(text)) << text;
  }
}

}  // namespace
}  // namespace vmnet
