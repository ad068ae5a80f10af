"""--ip-address ADDR: the VM's IPv4 address, of its user's choice."""

import pytest

from support.checks import assert_reach, assert_refused, explicit
from support.helper import run_to_end
from support.installation import ROOT, SETUID_COPY, WAYS
from support.lab import INTERNET

ID = "2f8d5b1c-95a0-4a52-a1f2-0123456789ab"
ADDRESS = "192.168.64.200"
EVERY_WAY = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)


def given(address=ADDRESS):
    return f"--ip-address={address}"


def gateway(guest):
    told = guest.helper.json
    return told.get("vmnet_start_address") or told["net_ipv4_subnet"]


@EVERY_WAY
def test_vm_has_it(plug_either, way):
    guest = plug_either(given(), way=way)
    assert guest.helper.json["ip_address"] == ADDRESS == guest.dhcp().address
    guest.ping(INTERNET.web)
    assert guest.helper.log_lines("WARN", "ERROR") == []


@pytest.mark.parametrize("options, address", [
    (("--enable-isolation",), ADDRESS),
    (("--operation-mode=host",), "192.168.128.7"),
    (("--operation-mode=host", "--enable-isolation"), "192.168.128.254"),
    (explicit("10.9.0.4", "10.9.0.20"), "10.9.0.77"),
    (explicit("10.9.0.4", "10.9.0.20"), "10.9.0.2"),
    (("--operation-mode=host", f"--network-id={ID}", "--host-ip-address=10.44.0.1",
      "--host-subnet-mask=255.255.255.0"), "10.44.0.9"),
], ids=["isolated", "host", "host-isolated", "behind-the-pool", "before-the-pool", "network-id"])
def test_in_every_network_of_ours(plug_either, options, address):
    guest = plug_either(given(address), *options)
    assert guest.dhcp().address == address
    guest.ping(gateway(guest))


def test_in_a_named_network(plug):
    first = plug("--network=lab")
    address = first.helper.json["net_ipv4_subnet"].rpartition(".")[0] + ".99"
    second = plug("--network=lab", given(address))
    assert second.dhcp().address == address
    first.dhcp()
    assert_reach(first, second)


@pytest.mark.parametrize("way", [ROOT, SETUID_COPY], ids=lambda way: way.name)
@pytest.mark.parametrize("options", [(), ("--enable-isolation",)], ids=["open", "isolated"])
def test_running_vms_address_is_refused(host, start, options, way):
    """Whosever it is, however it was given."""
    first, second = start(given()), start("--enable-isolation")
    for helper in (first, second):
        address = helper.json["ip_address"]
        refused = run_to_end(host, given(address), *options, way=way)
        assert_refused(refused, ["--ip-address", address, helper.json["host_interface"]])
    first.stop()
    assert start(given(), *options, way=way).json["ip_address"] == ADDRESS


def test_others_pass_it_by(start):
    start(given("192.168.64.2"))
    assert start().json["ip_address"] == "192.168.64.3"


def test_with_an_id_it_is_the_same_again(start):
    first = start(given(), f"--interface-id={ID}").stop().json
    second = start(given(), f"--interface-id={ID}").json
    assert first["ip_address"] == second["ip_address"] == ADDRESS
    assert first["vmnet_mac_address"] == second["vmnet_mac_address"]


@pytest.mark.parametrize("address", ["192.168.64.0", "192.168.64.1", "192.168.64.255", "192.168.65.2"])
def test_no_vms_address_leaves_nothing(host, address):
    before = host.links()
    assert_refused(run_to_end(host, given(address)), ["--ip-address", address])
    assert host.links() == before


@pytest.mark.parametrize("options", [
    ("--operation-mode=bridged", "--shared-interface=uplink0"),
    ("--operation-mode=host", f"--network-id={ID}")], ids=["bridged", "no-host-address"])
def test_where_the_helper_gives_no_address(host, options):
    assert_refused(run_to_end(host, given(), *options), ["--ip-address", ADDRESS, "not possible"])


def test_static_user_of_it_is_told_of(plug):
    """Who is given an address has it, whoever used it before."""
    static = plug()
    static.use(ADDRESS, gateway(static))
    static.ping(INTERNET.web)
    guest = plug(given())
    assert any(ADDRESS in line for line in guest.helper.log_lines("WARN"))
    assert guest.dhcp().address == ADDRESS
    guest.ping(INTERNET.web)


def test_vmnet_run(host):
    done = host.run(ROOT.runner(), given(), "--", "/bin/true")
    assert f'"ip_address":"{ADDRESS}"' in done.stdout
