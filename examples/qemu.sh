#!/bin/sh
# A VM in QEMU with vmnet-run, the shortest way. What is given is passed to QEMU.
#
#   qemu.sh -m 1G -drive file=disk.qcow2,if=virtio
#
# VMNET_RUN names the program where it is not /opt/vmnet-helper/bin/vmnet-run. A second VM needs
# a MAC address of its own.
exec "${VMNET_RUN:-/opt/vmnet-helper/bin/vmnet-run}" -- qemu-system-x86_64 "$@" \
  -netdev dgram,id=net0,local.type=fd,local.str=4 \
  -device "virtio-net-pci,netdev=net0,mac=${MAC:-52:54:00:5c:0d:01}"
