"""The helper on Debian's own kernel (6.1): no force_forwarding for IPv6, older Landlock, older nft.

A VM boots that kernel on this machine's files and runs some of these end-to-end tests in a lab of
its own: those whose outcome depends on the kernel.
"""

import re

import pytest

from support.vm import KernelMachine

pytestmark = [pytest.mark.real_vm, pytest.mark.slow]

TESTS = ("test_shared_mode.py::test_reaches_gateway_and_internet",
         "test_ipv6.py::test_ping_the_internet",
         "test_ipv6.py::test_uplink_still_accepts_router_advertisements",
         "test_isolation.py::test_hairpin_with_a_host_that_forwards[socket]",
         "test_bridged_mode.py::test_plain_nic_any_mac",
         "test_privileges.py::test_worker_has_nothing_left[setuid]",
         "test_lifecycle.py::test_kill_of_everything[root]",
         # No NFT_TABLE_F_PERSIST: a marker tells whose keeper lives.
         "test_native_tap.py::test_network[root]",
         "test_native_tap.py::test_living_devices_are_not_swept",
         "test_native_tap_guards.py::test_rules_outlive_the_keeper",
         "test_native_tap_guards.py::test_changed_mac_takes_the_device_away[victim]",
         "test_native_tap_guards.py::test_checksum_that_would_forge_an_address",
         "test_native_tap.py::test_kill_leaves_nothing_after_the_next_life[root-held-everything]",
         "test_native_tap.py::test_kill_leaves_nothing_after_the_next_life[root-persistent-keeper]")


def test_suite_on_debians_kernel():
    names = " ".join(f'"tests/integration/{name}"' for name in TESTS)
    with KernelMachine() as machine:
        machine.booted()
        kernel = machine.run("uname -r").output
        force = machine.run("ls /proc/sys/net/ipv6/conf/lo/force_forwarding")
        assert kernel.startswith("6.1.") and not force, "not the kernel this test is about"
        answer = machine.run_here("tests/support/enter_lab /usr/bin/python3 -m pytest --color=no "
                                  f"-q -p no:cacheprovider {names}", timeout=900)
        print(answer.output)
        assert answer, answer.output[-6000:]
        assert re.search(rf"\b{len(TESTS)} passed", answer.output)
