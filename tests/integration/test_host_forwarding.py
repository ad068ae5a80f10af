"""The host as a router: what it routed before it routes on, and nothing else, while VMs run."""

import pytest

from support import snapshot
from support.lab import INTERNET, LAN_HOST, LAN_HOST6, reaches

IPV4 = ("net__ipv4__ip_forward", LAN_HOST, INTERNET.web)
IPV6 = ("net__ipv6__conf__all__forwarding", LAN_HOST6, INTERNET.web6)


def test_vms_make_no_router_of_the_host(lab, lan, plug):
    guest = plug()
    guest.dhcp()
    guest.ping(INTERNET.web)
    guest.ping6(INTERNET.web6, guest.autoconfigure().src)
    for _, inside, outside in (IPV4, IPV6):
        assert not reaches(lab.internet, inside) and not reaches(lan, outside)


@pytest.mark.parametrize("routed, other", [(IPV4, IPV6), (IPV6, IPV4)], ids=["ipv4", "ipv6"])
def test_a_router_of_one_protocol_stays_one(lab, host, lan, plug, routed, other):
    """Docker's hosts forward IPv4 only: what comes for its containers must go on coming."""
    switch, inside, outside = routed
    host.sysctl(**{switch: 1})
    before = snapshot.host_state(host)
    guest = plug()
    guest.dhcp()
    guest.ping(INTERNET.web)
    assert reaches(lab.internet, inside) and reaches(lan, outside)
    assert not reaches(lab.internet, other[1]) and not reaches(lan, other[2])
    guest.helper.stop()
    assert not snapshot.difference(before, snapshot.host_state(host))
    host.sysctl(**{switch: 0})
