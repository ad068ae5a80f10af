"""The macOS back end, run against the simulated system: start, traffic, faults, end."""

import json
import os
import socket
import struct
import subprocess
import time

import pytest
from sim_helper import (GATEWAY, HELPER, ID, STATION, VM, Helper, arp_request, frame, ping,
                        refused, works)

NO_HEADER = "missing=vmnet_enable_virtio_header_key"
SYSTEMS = {"header": "", "no header": NO_HEADER,
           "old": NO_HEADER + ",vmnet_read_max_packets_key,vmnet_write_max_packets_key version=13.1 "
                  "reported=0"}


@pytest.fixture(params=SYSTEMS.values(), ids=SYSTEMS.keys())
def system(request):
    return request.param


def test_shared_mode(system):
    helper = Helper("--interface-id", ID.lower(), sim=system)
    line = helper.ready()
    assert line["vmnet_interface_id"] == ID
    assert line["vmnet_mac_address"] == "02:6a:1c:2e:30:00"
    assert line["vmnet_max_packet_size"] == 1514
    assert line["vmnet_start_address"] == "192.168.64.1"
    assert line["vmnet_nat66_prefix"] == "fd6e:1:2:3::"
    assert line["vmnet_read_max_packets"] >= 2 and line["vmnet_write_max_packets"] >= 2
    answer = helper.exchange(arp_request("192.168.64.1"))
    assert answer[:6] == VM and answer[20:22] == b"\0\2" and answer[22:28] == GATEWAY
    assert helper.exchange(ping("192.168.64.1"))[34] == 0
    status, errors = helper.stop()
    assert status == 0
    started, ended = errors.splitlines()
    assert started.startswith("INFO  [helper] started: ") and ended == "INFO  [helper] ended: told to stop"


def test_bursts_are_read_until_drained(system):
    helper = Helper(sim=system)
    helper.ready()
    for count in (1, 17, 200, 64):
        helper.vm.send(frame(STATION, 0x88b5, struct.pack("!HH", count, 1514)))
        for index in range(count):
            got = helper.vm.recv(70000)
            assert len(got) == 1514 and struct.unpack_from("!H", got, 14)[0] == index
    assert helper.stop()[0] == 0


def test_many_frames_to_the_host(system):
    helper = Helper(sim=system)
    helper.ready()
    for _ in range(40):
        for index in range(20):
            helper.vm.send(frame(STATION, 0x88b6, struct.pack("!H", index) * 700))
        for index in range(20):
            assert helper.vm.recv(70000)[14:16] == struct.pack("!H", index)
    assert helper.stop()[0] == 0


def test_large_frames_with_offload(system):
    helper = Helper("--enable-tso", "--enable-checksum-offload", sim=system)
    assert helper.ready()["vmnet_max_packet_size"] == 65550
    assert helper.exchange(frame(STATION, 0x88b6, b"x" * 1400))[14:] == b"x" * 1400
    assert helper.stop()[0] == 0


def test_host_and_bridged_mode():
    helper = Helper("--operation-mode=host", "--enable-isolation")
    assert helper.ready()["vmnet_start_address"] == "192.168.128.1"
    assert helper.stop()[0] == 0
    helper = Helper("--operation-mode=bridged", "--shared-interface=en0")
    assert "vmnet_start_address" not in helper.ready()
    assert helper.stop()[0] == 0
    errors = refused("--operation-mode=bridged", "--shared-interface=en7")
    assert "en7" in errors and "bridge0, en0" in errors


def test_list_of_shared_interfaces():
    run = subprocess.run([HELPER, "--list-shared-interfaces"], text=True, capture_output=True,
                         check=True, env={"MACOS_SIM": "shared=en1,en0"})
    assert run.stdout == "en0\nen1\n"


def test_the_vm_goes():
    helper = Helper()
    helper.ready()
    helper.vm.close()
    assert helper.process.wait(timeout=3) == 0
    helper.finish()


STATUS_WORDS = {1001: "VMNET_FAILURE", 1002: "VMNET_MEM_FAILURE", 1003: "VMNET_INVALID_ARGUMENT",
                1004: "VMNET_SETUP_INCOMPLETE", 1005: "VMNET_INVALID_ACCESS",
                1006: "VMNET_PACKET_TOO_BIG", 1007: "VMNET_BUFFER_EXHAUSTED",
                1008: "VMNET_TOO_MANY_PACKETS", 1009: "Internet Sharing",
                1010: "VMNET_NOT_AUTHORIZED", 4711: "vmnet error 4711"}


@pytest.mark.parametrize("status", STATUS_WORDS)
@pytest.mark.parametrize("call", ["start", "callback"])
def test_a_call_of_the_start_fails(call, status):
    assert STATUS_WORDS[status] in refused(sim=f"{call}.status={status}")


def test_no_interface_at_once():
    assert "VMNET_FAILURE" in refused(sim="start=null")
    assert "VMNET_SHARING_SERVICE_BUSY" in refused(sim="start=null_status")


@pytest.mark.parametrize("status", STATUS_WORDS)
@pytest.mark.parametrize("call", ["stop", "stop_handler"])
def test_a_stop_that_fails_is_told(call, status):
    errors = works(Helper(sim=f"{call}.status={status}"))
    assert "cannot stop" in errors and STATUS_WORDS[status] in errors


# Each status that a read can end with, for a few calls: the frames come all the same.
@pytest.mark.parametrize("status", STATUS_WORDS)
def test_a_read_that_fails_is_tried_again(status):
    works(Helper(sim=f"read.status={status}:3"))


def test_explicit_addresses():
    helper = Helper("--start-address=10.1.0.1", "--end-address=10.1.0.99",
                    "--subnet-mask=255.255.255.0")
    line = helper.ready()
    assert [line[f"vmnet_{key}"] for key in ("start_address", "end_address", "subnet_mask")] == [
        "10.1.0.1", "10.1.0.99", "255.255.255.0"]
    assert helper.exchange(arp_request("10.1.0.1"))[22:28] == GATEWAY
    assert helper.stop()[0] == 0


@pytest.mark.parametrize("addresses, told", [
    (["--start-address=10.1.0.1", "--end-address=10.1.0.99"], ["10.1.0.1", "10.1.0.99", "255.255.255.0"]),
    (["--start-address=10.1.0.1", "--end-address=10.1.0.255", "--subnet-mask=255.255.255.0"],
     ["10.1.0.1", "10.1.0.255", "255.255.255.0"]),
    (["--start-address=10.1.0.9", "--end-address=10.1.0.9", "--subnet-mask=255.255.0.0"],
     ["10.1.0.9", "10.1.0.9", "255.255.0.0"])])
def test_addresses_are_vmnets_to_judge(addresses, told):
    """An incomplete set, the broadcast address as the end, start and end the same: passed on."""
    helper = Helper(*addresses)
    line = helper.ready()
    assert [line[f"vmnet_{key}"] for key in ("start_address", "end_address", "subnet_mask")] == told
    assert helper.stop()[0] == 0


def test_addresses_are_ignored_in_bridged_mode():
    helper = Helper("--operation-mode=bridged", "--shared-interface=en0", "--start-address=10.1.0.1")
    assert "vmnet_start_address" not in helper.ready()
    status, errors = helper.stop()
    assert status == 0 and errors.count("WARN  [helper] --start-address: ignored") == 1


def test_network_id():
    options = ["--operation-mode=host", f"--network-id={ID}"]
    helper = Helper(*options)
    assert "vmnet_start_address" not in helper.ready()
    assert helper.stop()[0] == 0
    helper = Helper(*options, "--host-ip-address=10.2.0.1", "--host-subnet-mask=255.255.0.0")
    line = helper.ready()
    assert line["vmnet_start_address"] == "10.2.0.1" and line["vmnet_subnet_mask"] == "255.255.0.0"
    assert helper.stop()[0] == 0


def test_a_broker_that_goes_is_told():
    helper = Helper("--network=default", sim="broker=gone")
    helper.ready()
    assert any("vmnet-broker has gone" in line for line in helper.process.stderr)
    assert helper.exchange(frame(STATION, 0x88b6, b"hello" * 20))[14:] == b"hello" * 20
    assert helper.stop()[0] == 0


def test_senseless_parameters():
    works(Helper(sim="params=none"))
    for shape in ("small", "huge"):
        assert "cannot be forwarded" in refused(sim=f"params={shape}")


@pytest.mark.parametrize("fault", ["write.status=1007:3", "sendmsg_x.errno=105:3",
                                   "sendmsg_x.errno=38:1", "recvmsg_x.errno=38:1",
                                   "missing=recvmsg_x,sendmsg_x", "missing=recvmsg_x",
                                   "missing=sendmsg_x", "missing=vmnet_read_max_packets_key",
                                   "missing=vmnet_write_max_packets_key"])
def test_a_passing_fault_loses_nothing(fault):
    works(Helper(sim=fault))


def drops_of_one_frame(direction, sim, reads=True):
    """Of a frame to the station, which sends it back. The simulated system breaks off what is tried
    without end."""
    helper = Helper("--stats-interval=1", sim=sim)
    helper.ready()
    if not reads:
        helper.vm.shutdown(socket.SHUT_RD)
    helper.vm.send(frame(STATION, 0x88b6, b"lost" * 20))
    for line in helper.process.stderr:
        drops = json.loads(line[line.index("{"):])[direction]["drops"] if "[stats]" in line else 0
        if drops:
            break
    assert helper.stop()[0] == 0
    return drops


@pytest.mark.parametrize("status", STATUS_WORDS)
def test_lasting_write_faults_are_drops(status):
    assert drops_of_one_frame("vm", f"write.status={status}") == 1


def test_a_vm_whose_queue_stays_full_loses_frames():
    assert drops_of_one_frame("host", "sendmsg_x.errno=105") == 1


def test_a_vm_that_has_shut_its_end_down_is_no_signal():
    """macOS has no MSG_NOSIGNAL: SIGPIPE would end the helper."""
    for sim in ("", "missing=sendmsg_x"):
        assert drops_of_one_frame("host", sim, reads=False) == 1


def test_an_interface_that_cannot_be_read_any_more_ends_the_helper():
    helper = Helper(sim="read.status=1001")
    helper.ready()
    helper.vm.send(frame(STATION, 0x88b6, b"unread" * 20))
    helper.process.wait(timeout=30)
    status, errors = helper.finish()
    assert status == 1 and errors.count("ERROR") == 1, errors


def test_named_network():
    helper = Helper("--network=default", "--interface-id", ID)
    line = helper.ready()
    assert line["net_ipv4_subnet"] == "192.168.77.1" and line["net_ipv4_mask"] == "255.255.255.0"
    assert line["net_ipv6_prefix"] == "fd77::" and line["net_ipv6_prefix_len"] == 64
    assert "vmnet_start_address" not in line
    status, errors = helper.stop()
    assert status == 0 and "--interface-id is ignored" in errors


@pytest.mark.parametrize("mode, words", [
    ("absent", "does not answer"), ("empty", "no network in it"), ("list", "no dictionary"),
    ("error:1", "XPC connection"), ("error:2", "valid reply"), ("error:3", "not allowed"),
    ("error:4", "request"), ("error:5", "no such network"), ("error:6", "could not make"),
    ("error:7", "inside"), ("error:99", "unknown")])
def test_broker_errors(mode, words):
    assert words in refused("--network=default", sim=f"broker={mode}")


def test_named_networks_that_cannot_be():
    for symbol in ("vmnet_network_create_with_serialization", "vmnet_interface_start_with_network",
                   "vmnet_network_get_ipv4_subnet", "vmnet_network_get_ipv6_prefix"):
        assert "macOS 26" in refused("--network=default", sim=f"missing={symbol}")
    assert "VMNET_MEM_FAILURE" in refused("--network=default", sim="network.status=1002")
    assert "no such network" in refused("--network=other")


class Client:
    """Of a helper's socket, as vfkit is one."""

    def __init__(self, own, helper):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(10)
        self.socket.bind(str(own))
        while True:  # until the helper has seen the last one's end
            try:
                self.socket.connect(str(helper))
                break
            except PermissionError:
                time.sleep(0.05)

    def __enter__(self):
        self.socket.send(b"VFKT")
        self.socket.send(frame(STATION, 0x88b6, b"hello" * 10))
        assert self.socket.recv(2000)[14:] == b"hello" * 10

    def __exit__(self, *_):
        self.socket.close()


def test_socket_path(tmp_path):
    path = tmp_path / "s"
    process = subprocess.Popen([HELPER, f"--socket={path}"], stdout=subprocess.PIPE, text=True)
    assert json.loads(process.stdout.readline())
    assert path.stat().st_mode & 0o777 == 0o600
    for number in range(3):
        with Client(tmp_path / f"client{number}", path):
            pass
    process.terminate()
    assert process.wait(timeout=10) == 0
    process.stdout.close()
    assert not path.exists() and not (tmp_path / "s.lock").exists()


def test_a_start_that_fails_shows_no_socket(tmp_path):
    done = subprocess.run([HELPER, f"--socket={tmp_path / 's'}", "--operation-mode=bridged",
                           "--shared-interface=en9"], text=True, capture_output=True)
    assert done.returncode == 1 and "en9" in done.stderr
    assert not list(tmp_path.iterdir())


def test_capture(tmp_path):
    """Both directions, in the file that was named, which a start that fails does not leave."""
    file = tmp_path / "vm.pcapng"
    refused(f"--capture={file}", "--operation-mode=bridged", "--shared-interface=en9")
    assert not file.exists()
    helper = Helper(f"--capture={file}")
    helper.ready()
    question = frame(STATION, 0x88b6, b"hello" * 20)
    answer = helper.exchange(question)
    assert helper.stop()[0] == 0
    data = file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600 and data[:4] == b"\n\r\r\n"
    assert 0 < data.index(question) < data.index(answer)


def test_socket_names_of_any_length(tmp_path, monkeypatch):
    """A path longer than the 104 bytes of an address works by its folder, a longer name does not."""
    folder = tmp_path / ("f" * 90)
    folder.mkdir()
    run = subprocess.run([HELPER, f"--socket={folder / ('s' * 104)}"], text=True, capture_output=True,
                         check=False, timeout=30)
    assert run.returncode == 1 and "the 103 bytes of a socket's name" in run.stderr
    monkeypatch.chdir(folder)  # a client has the same limit
    process = subprocess.Popen([HELPER, f"--socket={folder / 's'}"], stdout=subprocess.PIPE, text=True)
    assert json.loads(process.stdout.readline())
    with Client("client", "s"):
        pass
    process.terminate()
    assert process.wait(timeout=10) == 0
    process.stdout.close()
    assert os.listdir() == ["client"]


def test_tap_is_refused():
    """There is none on macOS, and one line says so."""
    status, errors = Helper("--tap").finish()
    assert status == 1
    assert errors.count("\n") == 1 and "--tap" in errors and "macOS" in errors
