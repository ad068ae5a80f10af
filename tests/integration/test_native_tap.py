"""--tap: the VM holds the TAP itself, the kernel carries its frames, the helper answers DHCP and router
solicitations and cleans up."""

import pytest

from support.lab import INTERNET
from support.native_tap import native_guest

TAP = "--tap"


@pytest.fixture
def plug_tap(start):
    """As `plug`, with the device in the VM's hands."""
    guests = []

    def make(*options, mac=None, **arguments):
        guest = native_guest(start(TAP, *options, **arguments), mac)
        guests.append(guest)
        return guest

    yield make
    for guest in guests:
        guest.socket.close()


def test_network(host, plug_tap):
    guest = plug_tap()
    lease = guest.dhcp()
    assert lease.address == guest.helper.json["ip_address"]
    guest.ping(guest.gateway)
    guest.ping(INTERNET.web)
    guest.solicit_router()
    print(host.run("nft", "list", "ruleset").stdout[:600])
    guest.helper.stop()
    print(host.run("nft", "list", "ruleset").stdout[:600])
