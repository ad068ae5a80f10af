"""The macOS back end, run against the simulated system: start, traffic, faults, end.

Every broken rule of the simulated system ends the helper with status 86, so each test that asks for
status 0 or 1 proves that none was broken.
"""

import json
import os
import pathlib
import signal
import socket
import struct
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
HELPER = pathlib.Path(os.environ.get("MACOS_SIM_BUILD", ROOT / "build/macos-sim")) / "vmnet-helper"
GATEWAY = bytes.fromhex("0e0000000001")
STATION = bytes.fromhex("0e0000000002")
VM = bytes.fromhex("020000000042")
BROADCAST = b"\xff" * 6
ID = "6A1C2E30-0000-4000-8000-000000000001"


class Helper:
    def __init__(self, *options, sim=""):
        self.vm, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.vm.settimeout(10)
        with end:
            self.process = subprocess.Popen(
                [HELPER, f"--fd={end.fileno()}", *options], pass_fds=[end.fileno()], text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "MACOS_SIM": sim})

    def ready(self):
        line = self.process.stdout.readline()
        assert line, self.finish()
        return json.loads(line)

    def finish(self):
        """Exit status and standard error."""
        _, errors = self.process.communicate(timeout=30)
        self.vm.close()
        return self.process.returncode, errors

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.finish()

    def exchange(self, frame):
        self.vm.send(frame)
        return self.vm.recv(70000)


def frame(target, kind, payload):
    return target + VM + struct.pack("!H", kind) + payload


def arp_request(address):
    return frame(BROADCAST, 0x0806, struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, VM,
                                                socket.inet_aton("192.168.64.9"), b"\0" * 6,
                                                socket.inet_aton(address)))


def ping(address):
    icmp = struct.pack("!BBHHH", 8, 0, 0xf7fe, 0, 1)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, 0, 0, 64, 1, 0,
                         socket.inet_aton("192.168.64.9"), socket.inet_aton(address))
    return frame(GATEWAY, 0x0800, header + icmp)


def refused(*options, sim=""):
    helper = Helper(*options, sim=sim)
    output = helper.process.stdout.readline()
    status, errors = helper.finish()
    assert status == 1 and output == "", (status, errors, output)
    assert errors.count("ERROR") == 1
    return errors


def works(helper):
    helper.ready()
    assert helper.exchange(frame(STATION, 0x88b6, b"hello" * 20))[14:] == b"hello" * 20
    status, errors = helper.stop()
    assert status == 0, errors
    return errors


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
    assert ("vmnet_read_max_packets" in line) == ("reported=0" not in system)
    answer = helper.exchange(arp_request("192.168.64.1"))
    assert answer[:6] == VM and answer[20:22] == b"\0\2" and answer[22:28] == GATEWAY
    assert helper.exchange(ping("192.168.64.1"))[34] == 0
    status, errors = helper.stop()
    assert (status, errors) == (0, "")


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


@pytest.mark.parametrize("call", ["stop", "stop_handler"])
def test_a_stop_that_fails_is_told(call):
    assert "cannot stop" in works(Helper(sim=f"{call}.status=1005"))


def test_senseless_parameters():
    works(Helper(sim="params=none"))
    for shape in ("small", "huge"):
        assert "cannot be forwarded" in refused(sim=f"params={shape}")


@pytest.mark.parametrize("fault", ["write.status=1007:3", "sendmsg_x.errno=105:3",
                                   "sendmsg_x.errno=38:1", "recvmsg_x.errno=38:1",
                                   "missing=recvmsg_x,sendmsg_x"])
def test_a_passing_fault_loses_nothing(fault):
    works(Helper(sim=fault))


@pytest.mark.parametrize("status", [1001, 1003, 1006, 1007, 1008])
def test_lasting_write_faults_are_drops(status):
    helper = Helper("--stats-interval=1", sim=f"write.status={status}")
    helper.ready()
    helper.vm.send(frame(STATION, 0x88b6, b"lost" * 20))
    line = helper.process.stderr.readline()
    assert json.loads(line[line.index("{"):])["vm"]["drops"] == 1
    assert helper.stop()[0] == 0


def test_root_is_needed_before_macos_26():
    if os.geteuid() != 0:
        assert "sudo" in refused(sim="version=15.4")
        return
    works(Helper(sim="version=15.4"))


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
    assert "macOS 26" in refused("--network=default",
                                 sim="missing=vmnet_network_create_with_serialization")
    assert "VMNET_MEM_FAILURE" in refused("--network=default", sim="network.status=1002")
    assert "no such network" in refused("--network=other")


def test_socket_path(tmp_path):
    path, own = tmp_path / "s", tmp_path / "c"
    process = subprocess.Popen([HELPER, f"--socket={path}"], stdout=subprocess.PIPE, text=True)
    assert json.loads(process.stdout.readline())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.bind(str(own))
        client.settimeout(10)
        client.connect(str(path))
        client.send(b"VFKT")
        client.send(frame(STATION, 0x88b6, b"hello" * 10))
        assert client.recv(2000)[14:] == b"hello" * 10
    process.terminate()
    assert process.wait(timeout=10) == 0
    process.stdout.close()
    assert not path.exists() and not (tmp_path / "s.lock").exists()


def test_tap_is_refused():
    """There is none on macOS, and one line says so."""
    status, errors = Helper("--tap").finish()
    assert status == 1
    assert errors.count("\n") == 1 and "--tap" in errors and "macOS" in errors
