"""IPv6 on kernels that have one switch for all forwarding (no force_forwarding, before Linux 6.17).

On a newer kernel that setting is hidden from the helper, by a mount of its own over the file that
it looks for; the switch itself works there as it does on older kernels.
"""

import pytest

from support import snapshot
from support.guest import Guest
from support.helper import Helper
from support.lab import INTERNET, LAN_HOST6, UPLINK, reaches
from support.snapshot import wait_until

FORCE = "/proc/sys/net/ipv6/conf/default/force_forwarding"


@pytest.fixture
def old_host(host):
    """The host as an older kernel shows it to helpers. Programs of `ip netns exec` have mounts of
    their own, so nothing has to be undone."""

    class OldHost:
        descriptor = host.descriptor

        @staticmethod
        def prefix(user=None):
            hide = f'test ! -e {FORCE} || mount --bind /dev/null {FORCE}; exec "$@"'
            return [*host.prefix(user), "sh", "-c", hide, "sh"]

    return OldHost


def guest_of(helper):
    return Guest(helper.vm, helper.json["vmnet_mac_address"])


def forwarding(host, device):
    return host.run("cat", f"/proc/sys/net/ipv6/conf/{device}/forwarding").stdout.strip()


def test_vms_are_routed_and_nobody_else(lab, host, old_host, lan):
    before = snapshot.host_state(host)
    with Helper(old_host) as helper:
        assert forwarding(host, "all") == "1" and forwarding(host, UPLINK) == "0"
        guest = guest_of(helper)
        router = guest.autoconfigure()
        guest.ping6(INTERNET.web6, router.src)
        assert not reaches(lab.internet, LAN_HOST6)
        assert not reaches(lan, INTERNET.web6)
        assert reaches(lan, "2001:db8:2::1"), "the host itself is to be reached"
        helper.stop()
    assert not snapshot.difference(before, snapshot.host_state(host))


def test_a_second_network_keeps_the_guard(lab, host, old_host, lan):
    """The first network's end leaves the switch on for the second, and the guard with it."""
    before = snapshot.host_state(host)
    first = Helper(old_host).ready()
    second = Helper(old_host, "--start-address=10.77.0.1", "--end-address=10.77.0.9",
                    "--subnet-mask=255.255.255.0").ready()
    first.stop()
    assert forwarding(host, "all") == "1"
    assert not reaches(lan, INTERNET.web6)
    guest = guest_of(second)
    guest.ping6(INTERNET.web6, guest.autoconfigure().src)
    second.stop()
    for helper in (first, second):
        helper.__exit__()
    assert not snapshot.difference(before, snapshot.host_state(host))


def test_a_host_that_routes_goes_on_routing(lab, host, old_host, lan):
    """What was on before is nobody's to guard."""
    host.sysctl(net__ipv6__conf__all__forwarding=1)
    before = snapshot.host_state(host)
    with Helper(old_host) as helper:
        assert reaches(lab.internet, LAN_HOST6) and reaches(lan, INTERNET.web6)
        helper.stop()
    assert not snapshot.difference(before, snapshot.host_state(host))
    host.sysctl(net__ipv6__conf__all__forwarding=0)


def test_a_host_that_routes_since(lab, host, old_host, lan):
    """The switch is on already when Docker comes: that it is the host's shows by what new devices get."""
    with Helper(old_host) as helper:
        assert not reaches(lan, INTERNET.web6)
        host.sysctl(net__ipv6__conf__all__forwarding=1)
        assert wait_until(lambda: reaches(lan, INTERNET.web6), 5)
        helper.stop()
    assert reaches(lab.internet, LAN_HOST6) and forwarding(host, "all") == "1"
    host.sysctl(net__ipv6__conf__all__forwarding=0)


def test_the_switch_is_turned_off(host, old_host, lan):
    before = snapshot.host_state(host)
    with Helper(old_host) as helper:
        guest = guest_of(helper)
        router = guest.autoconfigure().src
        guest.ping6(INTERNET.web6, router)
        host.sysctl(net__ipv6__conf__all__forwarding=0)
        assert wait_until(lambda: forwarding(host, "all") == "1", 5)
        guest.ping6(INTERNET.web6, router)
        assert not reaches(lan, INTERNET.web6)
        assert [line for line in helper.log_lines("WARN") if "switched off" in line]
        helper.stop()
    assert not snapshot.difference(before, snapshot.host_state(host))
