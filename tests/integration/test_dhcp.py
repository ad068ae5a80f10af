"""DHCPv4 as RFC 2131 asks: the promised address, the options, and every message a client sends."""

import os

import pytest
from scapy.layers.dhcp import BOOTP

from support.guest import Guest, dhcp_options
from support.lab import INTERNET
from support.sniffer import Sniffer

ACK, NAK, OFFER = 5, 6, 2


def facts(guest):
    return guest.helper.json["ip_address"], guest.helper.json["vmnet_start_address"]


def as_list(value):
    return value if isinstance(value, list) else [value]


def test_lease_and_options(plug):
    guest = plug()
    address, gateway = facts(guest)
    lease = guest.dhcp()
    assert lease.address == address and lease.server == gateway
    assert lease.options["subnet_mask"] == "255.255.255.0"
    assert lease.options["router"] == gateway
    assert as_list(lease.options["name_server"]) == [INTERNET.dns]
    assert lease.options["lease_time"] >= 60
    assert lease.options["interface-mtu"] == 1500


def test_offer_is_the_promised_address_whatever_is_asked(plug):
    guest = plug()
    offer = guest.dhcp_exchange("discover", [("requested_addr", "192.168.64.99")])
    assert offer[BOOTP].yiaddr == facts(guest)[0]
    assert dhcp_options(offer)["message-type"] == OFFER


def test_request_of_another_address_is_refused(plug):
    """Init-reboot with an address of another network or lease: NAK, so that the client restarts."""
    guest = plug()
    for wanted in ("192.168.64.99", "10.0.0.5"):
        reply = guest.dhcp_exchange("request", [("requested_addr", wanted)])
        assert dhcp_options(reply)["message-type"] == NAK
        assert reply[BOOTP].yiaddr == "0.0.0.0"


def test_init_reboot(plug):
    guest = plug()
    address, _ = facts(guest)
    reply = guest.dhcp_exchange("request", [("requested_addr", address)])
    assert dhcp_options(reply)["message-type"] == ACK and reply[BOOTP].yiaddr == address


def test_renewing_by_unicast(plug):
    guest = plug()
    lease = guest.dhcp()
    reply = guest.dhcp_exchange("request", ciaddr=lease.address, source=lease.address,
                                target=lease.server, target_mac=guest.gateway_mac)
    assert dhcp_options(reply)["message-type"] == ACK
    assert reply[BOOTP].yiaddr == lease.address and reply.dst == guest.mac


def test_rebinding_by_broadcast(plug):
    guest = plug()
    lease = guest.dhcp()
    reply = guest.dhcp_exchange("request", ciaddr=lease.address, source=lease.address)
    assert dhcp_options(reply)["message-type"] == ACK


def test_request_to_another_server_is_not_ours(plug):
    guest = plug()
    with pytest.raises(AssertionError, match="DHCP reply"):
        guest.dhcp_exchange("request", [("requested_addr", facts(guest)[0]),
                                        ("server_id", "192.168.64.250")], timeout=0.5)


def test_inform(plug):
    """A VM with a static address asks for the options: no address, no lease time."""
    guest = plug()
    guest.use("192.168.64.200", facts(guest)[1])
    reply = guest.dhcp_exchange("inform", ciaddr=guest.ip, source=guest.ip)
    options = dhcp_options(reply)
    assert options["message-type"] == ACK and reply[BOOTP].yiaddr == "0.0.0.0"
    assert "lease_time" not in options and as_list(options["name_server"]) == [INTERNET.dns]


def test_release_and_decline_then_again(plug):
    guest = plug()
    lease = guest.dhcp()
    guest.send(guest.dhcp_message("release", [("server_id", lease.server)], ciaddr=lease.address,
                                  source=lease.address, target=lease.server))
    assert guest.dhcp().address == lease.address
    guest.send(guest.dhcp_message("decline", [("server_id", lease.server),
                                              ("requested_addr", lease.address)]))
    assert guest.dhcp_exchange("discover")[BOOTP].yiaddr.startswith("192.168.64.")


def test_broadcast_flag(plug):
    guest = plug()
    assert guest.dhcp_exchange("discover", flags=0x8000).dst == "ff:ff:ff:ff:ff:ff"
    assert guest.dhcp_exchange("discover").dst == guest.mac


def test_client_id_and_transaction_are_kept(plug):
    guest = plug()
    offer = guest.dhcp_exchange("discover", [("client_id", b"\x01abcdef")], transaction=0x1234567)
    assert offer[BOOTP].xid == 0x1234567
    assert offer[BOOTP].chaddr[:6] == bytes.fromhex(guest.mac.replace(":", ""))
    assert dhcp_options(offer).get("client_id", b"\x01abcdef") == b"\x01abcdef"


def test_relayed_request(plug):
    """A relay inside the VM (a nested network): the reply goes to it, or there is none."""
    guest = plug()
    message = guest.dhcp_message("discover", giaddr="192.168.64.200", hops=1)
    guest.send(message)
    try:
        reply = guest.expect(lambda p: BOOTP in p and p[BOOTP].xid == message[BOOTP].xid, 0.7)
    except AssertionError:
        return
    assert reply[BOOTP].giaddr == "192.168.64.200"


def test_any_client_mac(plug):
    """The lease belongs to the interface, not to the MAC inside the message."""
    guest = plug()
    addresses = {guest.dhcp_exchange("discover", chaddr=f"02:00:00:00:00:{number:02x}",
                                     flags=0x8000)[BOOTP].yiaddr for number in range(20)}
    assert addresses == {facts(guest)[0]}


def test_second_mac_behind_the_vm_does_not_take_its_address(plug_either):
    """A macvlan in the VM, a nested bridge: it would cut the VM off."""
    guest = plug_either()
    guest.dhcp()
    second = "02:00:00:00:00:22"
    asked = guest.dhcp_message("discover", chaddr=second)
    asked.src = second
    guest.send(asked)
    guest.expect_none(lambda p: BOOTP in p and p[BOOTP].op == 2, what="an answer to the second")
    guest.ping(guest.gateway)
    assert guest.dhcp().address == facts(guest)[0]


def test_mac_that_gave_the_address_back_leaves_it_to_another(plug_either):
    guest = plug_either()
    lease = guest.dhcp()
    guest.send(guest.dhcp_message("release", [("server_id", lease.server)], ciaddr=lease.address,
                                  source=lease.address, target=lease.server))
    guest.mac = "02:00:00:00:00:22"
    assert guest.dhcp().address == lease.address


@pytest.mark.parametrize("options, answers", [
    (("--dns=192.0.2.77",), ["192.0.2.77"]),
    (("--dns=192.0.2.77", "--dns", "198.51.100.1"), ["192.0.2.77", "198.51.100.1"])])
def test_dns_option(plug, options, answers):
    guest = plug(*options)
    assert as_list(guest.dhcp().options["name_server"]) == answers


def test_dns_servers_behind_the_stub_of_systemd_resolved(host, plug):
    """A loopback resolver is of no use to a VM: its upstreams are."""
    host.write_resolv_conf("nameserver 127.0.0.53\n")
    os.makedirs("/run/systemd/resolve")
    with open("/run/systemd/resolve/resolv.conf", "w") as upstreams:
        upstreams.write("# by systemd-resolved\nnameserver 203.0.113.9\nnameserver 2001:db8::9\n")
    servers = as_list(plug().dhcp().options["name_server"])
    os.unlink("/run/systemd/resolve/resolv.conf")
    os.removedirs("/run/systemd/resolve")
    host.write_resolv_conf(f"nameserver {INTERNET.dns}\n")
    assert servers == ["203.0.113.9"]


@pytest.mark.parametrize("text", ["", "nameserver 127.0.0.1\n", "nameserver ::1\n",
                                  "nameserver not-an-address\nsearch x\n"])
def test_host_without_a_usable_dns_server(host, plug, text):
    host.write_resolv_conf(text)
    guest = plug()
    lease = guest.dhcp()
    guest.ping(guest.gateway)
    assert "127.0.0.1" not in as_list(lease.options.get("name_server", []))


def test_addresses_are_of_the_low_end_and_differ(plug):
    """The high end is left to clients that take an address without asking."""
    given = {int(plug().helper.json["ip_address"].rpartition(".")[2]) for _ in range(6)}
    assert len(given) == 6 and min(given) >= 2 and max(given) < 128


def test_static_user_of_the_next_address_is_not_disturbed(plug):
    """An address in use without DHCP is not given to the next VM."""
    first = plug()
    first.use("192.168.64.3", facts(first)[1])
    first.ping(facts(first)[1])
    second = plug()
    assert second.helper.json["ip_address"] not in ("192.168.64.3", facts(first)[0])


def test_reply_comes_from_the_gateway(plug):
    guest = plug()
    address, gateway = facts(guest)
    offer = guest.dhcp_exchange("discover")
    guest.ip = address
    assert (offer["IP"].src, offer.src) == (gateway, guest.arp(gateway))


def test_restart_of_the_vm_gets_the_same_address(start):
    helper = start()
    addresses = [Guest(helper.vm, "02:00:00:00:01:01").dhcp().address for _ in range(3)]
    assert len(set(addresses)) == 1


def test_uplink_never_sees_dhcp(lab, plug):
    with Sniffer(lab.internet, "uplink1") as seen:
        plug().dhcp()
    assert not [p for p in seen.packets() if BOOTP in p]
