#include <gtest/gtest.h>

#include "forward/vm_socket_test_support.h"
#include "helper/open_vm_socket.h"

namespace vmnet {
namespace {

using namespace testing;

// Linux tells it from a socket that was never connected.
TEST(AdoptVmSocket, TakesOneWhosePeerHasGoneAlready) {
  SocketPair pair(SOCK_DGRAM);
  pair.vm.reset();
  EXPECT_TRUE(adopt_vm_socket(pair.ours.release()));
}

}  // namespace
}  // namespace vmnet
