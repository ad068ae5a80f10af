"""Standard output: one JSON line, its keys and values, and readers that go away."""

import ipaddress
import os
import re

from support.guest import Guest
from support.helper import Helper, status, wait_for_no_helper
from support.lab import end
from support.snapshot import wait_until

ID = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"
UUID = r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}"


def assert_common_keys(told, size=1514):
    assert re.fullmatch(UUID, told["vmnet_interface_id"])
    assert re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", told["vmnet_mac_address"])
    first = int(told["vmnet_mac_address"][:2], 16)
    assert first & 3 == 2, "not a locally administered unicast address"
    assert told["vmnet_mtu"] == 1500 and told["vmnet_max_packet_size"] == size
    assert told["vmnet_read_max_packets"] >= 2 and told["vmnet_write_max_packets"] >= 2
    for key, value in told.items():
        counts = key in ("vmnet_mtu", "vmnet_max_packet_size", "vmnet_read_max_packets",
                         "vmnet_write_max_packets")
        assert type(value) is (int if counts else str), key


def test_shared_mode(host, start):
    told = start().json
    assert_common_keys(told)
    assert told["vmnet_start_address"] == "192.168.64.1"
    assert told["vmnet_end_address"] == "192.168.64.254"
    assert told["vmnet_subnet_mask"] == "255.255.255.0"
    prefix = ipaddress.ip_address(told["vmnet_nat66_prefix"])
    assert prefix in ipaddress.ip_network("fd00::/8")
    assert int(prefix) & (1 << 64) - 1 == 0
    pool = ipaddress.ip_network("192.168.64.0/24")
    assert ipaddress.ip_address(told["ip_address"]) in pool
    assert told["host_interface"] in host.links()


def test_host_mode(start):
    told = start("--operation-mode=host").json
    assert_common_keys(told)
    assert told["vmnet_start_address"] == "192.168.128.1"
    assert told["vmnet_subnet_mask"] == "255.255.255.0"
    assert "vmnet_nat66_prefix" not in told


def test_bridged_mode(host, start):
    host.ip("link add br-lan type bridge", "link set br-lan up")
    with start("--operation-mode=bridged", "--shared-interface=br-lan") as helper:
        assert_common_keys(helper.json)
        assert not {"vmnet_start_address", "vmnet_end_address", "vmnet_subnet_mask",
                    "vmnet_nat66_prefix", "ip_address"} & set(helper.json)
    host.ip("link del br-lan")


def test_tso_raises_the_packet_size(start):
    assert_common_keys(start("--enable-tso").json, size=65550)
    assert_common_keys(start("--enable-checksum-offload").json)


def test_same_interface_id_same_mac_and_address(start):
    first = start(f"--interface-id={ID}").stop().json
    others = [start(), start()]
    second = start(f"--interface-id={ID.upper()}").json
    for key in ("vmnet_interface_id", "vmnet_mac_address", "ip_address"):
        assert second[key] == first[key]
    assert second["vmnet_interface_id"] == ID.upper()
    assert len({helper.json["vmnet_mac_address"] for helper in others}
               | {second["vmnet_mac_address"]}) == 3


def test_without_interface_id_each_run_is_new(start):
    seen = [start().stop().json for _ in range(3)]
    assert len({told["vmnet_interface_id"] for told in seen}) == 3
    assert len({told["vmnet_mac_address"] for told in seen}) == 3


def test_one_line_and_nothing_after_it(start):
    helper = start("--stats-interval=1", "--verbose")
    guest = Guest(helper.vm, helper.json["vmnet_mac_address"])
    guest.dhcp()
    guest.ping(guest.gateway)
    helper.stop()
    assert helper.rest_of_stdout() == ""


def test_reader_may_close(start):
    helper = start()
    helper.process.stdout.close()
    guest = Guest(helper.vm, helper.json["vmnet_mac_address"])
    guest.dhcp()
    guest.ping(guest.gateway)
    helper.stop()


def test_works_once_the_line_is_read(start):
    """The very first frame after the line is answered: nothing is retried here."""
    for _ in range(10):
        helper = start()
        guest = Guest(helper.vm, helper.json["vmnet_mac_address"])
        guest.ip = helper.json["ip_address"]
        guest.arp(helper.json["vmnet_start_address"], timeout=1)
        helper.stop()


def test_works_once_the_line_is_read_on_a_busy_host(host, start):
    """The kernel brings links up in work of its own, which others' use of the rtnl lock delays."""
    busy = [host.start("sh", "-c", "while :; do ip link show > /dev/null; done") for _ in range(6)]
    try:
        for _ in range(12):
            helper = start()
            guest = Guest(helper.vm, helper.json["vmnet_mac_address"])
            guest.ip = helper.json["ip_address"]
            guest.arp(helper.json["vmnet_start_address"], timeout=2)
            helper.stop()
    finally:
        for process in busy:
            end(process)


def ends_with_an_error(helper):
    ended = helper.process.wait(10)
    assert ended not in (0, -13), helper.stderr()
    assert helper.log_lines("ERROR"), helper.stderr()
    assert wait_for_no_helper()


def test_full_disk(host):
    with open("/dev/full", "w") as full:
        helper = Helper(host, stdout=full)
    ends_with_an_error(helper)


def test_closed_pipe(host):
    read_end, write_end = os.pipe()
    os.close(read_end)
    helper = Helper(host, stdout=write_end)
    os.close(write_end)
    ends_with_an_error(helper)


def test_signal_while_nobody_reads(host):
    """Before the line has gone out as well, a signal ends the helper, and well."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    try:
        while True:
            os.write(write_end, bytes(4096))
    except BlockingIOError:
        os.set_blocking(write_end, True)
    helper = Helper(host, stdout=write_end)
    os.close(write_end)
    assert wait_until(lambda: status(helper.pid)["Seccomp"] == "2")
    helper.process.terminate()
    assert helper.process.wait(10) == 0, helper.stderr()
    os.close(read_end)
    assert wait_for_no_helper()
