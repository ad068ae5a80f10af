#!/usr/bin/python3
"""A client in Python: a socketpair, sudo's --close-from, the JSON line, one frame each way.

    client.py [OPTION-OF-VMNET-HELPER]...

VMNET_HELPER names the program where it is not /opt/vmnet-helper/bin/vmnet-helper. A real client would
hand `vm` to its VM; this one asks who has the gateway's address, as a VM would.
"""

import json
import os
import socket
import subprocess
import sys

helper_end, vm = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
vm.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
fd = helper_end.fileno()
program = os.environ.get("VMNET_HELPER", "/opt/vmnet-helper/bin/vmnet-helper")
helper = subprocess.Popen(
    ["sudo", "--non-interactive", f"--close-from={fd + 1}", program, f"--fd={fd}", *sys.argv[1:]],
    pass_fds=[fd], stdout=subprocess.PIPE)
helper_end.close()  # the helper's alone from now on

line = helper.stdout.readline()
if not line:
    sys.exit("the helper failed; it said why")
interface = json.loads(line)
print(f"VM: {interface['vmnet_mac_address']} {interface['ip_address']}")

mac = bytes.fromhex(interface["vmnet_mac_address"].replace(":", ""))
own = socket.inet_aton(interface["ip_address"])
gateway = socket.inet_aton(interface["vmnet_start_address"])
arp = bytes.fromhex("0001080006040001")
vm.send(b"\xff" * 6 + mac + b"\x08\x06" + arp + mac + own + bytes(6) + gateway)
while True:
    frame = vm.recv(interface["vmnet_max_packet_size"] + 8)  # two VLAN tags
    if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\x00\x02" and frame[28:32] == gateway:
        print(f"gateway: {frame[22:28].hex(':')} {interface['vmnet_start_address']}")
        break

vm.close()  # ends the helper; so does SIGTERM
sys.exit(helper.wait())
