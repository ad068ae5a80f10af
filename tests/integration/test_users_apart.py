"""What a user names is that user's: an interface id, a private network. Anyone can read both on the
devices, and has nothing of them."""

from dataclasses import replace

import pytest

from support.checks import assert_apart, assert_reach, assert_refused
from support.helper import run_to_end
from support.installation import CAPABLE_COPY, ROOT, ROOT_FOR_ALICE, SETUID_COPY, SUDO

ID = "2F8D5B1C-95A0-4A52-A1F2-0123456789AB"
NETWORK = "11111111-2222-4333-8444-555555555555"
PRIVATE = ("--operation-mode=host", f"--network-id={NETWORK}")
MALLORY = replace(SETUID_COPY, name="mallory", user="mallory", runs_as="mallory")
ALICES = (ROOT_FOR_ALICE, SUDO, SETUID_COPY, CAPABLE_COPY)


def identity(helper):
    made = (helper.json["vmnet_mac_address"], helper.json.get("ip_address"))
    helper.stop()
    return made


@pytest.mark.parametrize("isolated", [(), ("--enable-isolation",)], ids=["open", "isolated"])
def test_an_interface_id_is_another_vm_for_another_user(start, isolated):
    alice, mallory, root = (identity(start("-i", ID, *isolated, way=way))
                            for way in (SETUID_COPY, MALLORY, ROOT))
    assert len({alice[0], mallory[0], root[0]}) == 3
    assert len({alice[1], mallory[1], root[1]}) == 3


def test_an_interface_id_is_another_vm_in_bridged_mode(host, start):
    host.ip("link add br0 type bridge", "link set br0 up")
    bridged = ("--operation-mode=bridged", "--shared-interface=br0", "-i", ID)
    assert identity(start(*bridged, way=SETUID_COPY)) != identity(start(*bridged, way=MALLORY))
    host.ip("link del br0")


def test_a_user_is_the_same_in_every_way_of_privilege(start):
    """Twice each: the same on every run."""
    assert len({identity(start("-i", ID, way=way)) for way in ALICES + ALICES}) == 1


def test_both_users_vms_run_at_once(host, plug):
    alice, mallory = plug("-i", ID, way=SETUID_COPY), plug("-i", ID, way=MALLORY)
    alice.dhcp()
    mallory.dhcp()
    assert alice.ip != mallory.ip
    assert_reach(alice, mallory)
    assert_refused(run_to_end(host, "-i", ID, way=SUDO), [ID, "running VM"])


def place(guest, address):
    guest.ip = address
    guest.gateway_mac = guest.mac
    return guest


def test_a_private_network_is_joined_by_its_user_alone(host, plug):
    alice = place(plug(*PRIVATE, way=SETUID_COPY), "10.0.0.1")
    for number, way in enumerate((MALLORY, ROOT)):
        assert_apart(alice, place(plug(*PRIVATE, way=way), f"10.0.0.{number + 2}"))
    assert len([name for name in host.links() if name.startswith("vmnet-priv")]) == 3


@pytest.mark.parametrize("way", ALICES, ids=lambda way: way.name)
def test_a_private_network_is_joined_in_every_way_of_privilege(plug, way):
    first = place(plug(*PRIVATE, way=SETUID_COPY), "10.0.0.1")
    assert_reach(first, place(plug(*PRIVATE, way=way), "10.0.0.2"))


def test_another_users_private_network_tells_nothing(start):
    """Not even whether it has a host address."""
    start(*PRIVATE, "--host-ip-address=10.44.0.1", "--host-subnet-mask=255.255.255.0", way=SETUID_COPY)
    assert "vmnet_start_address" not in start(*PRIVATE, way=MALLORY).json
