#!/bin/sh
# A VM in QEMU that has the TAP device itself, for the most speed (Linux): the kernel carries its
# frames. What is given is passed to QEMU.
#
#   qemu-tap.sh -m 1G -drive file=disk.qcow2,if=virtio
#
# VMNET_RUN names the program where it is not /opt/vmnet-helper/bin/vmnet-run. A second VM needs
# a MAC address of its own.
exec "${VMNET_RUN:-/opt/vmnet-helper/bin/vmnet-run}" --tap -- qemu-system-x86_64 "$@" \
  -netdev tap,id=net0,fd=4 \
  -device "virtio-net-pci,netdev=net0,mac=${MAC:-52:54:00:5c:0d:01}"
