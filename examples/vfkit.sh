#!/bin/sh
# A VM in vfkit (macOS) with vmnet-run, the shortest way. What is given is passed to vfkit.
#
#   vfkit.sh --cpus 2 --memory 2048 --bootloader efi,variable-store=efi-variables,create \
#     --device virtio-blk,path=disk.raw --device virtio-serial,stdio
#
# VMNET_RUN names the program where it is not /opt/vmnet-helper/bin/vmnet-run. A second VM needs
# a MAC address of its own.
exec "${VMNET_RUN:-/opt/vmnet-helper/bin/vmnet-run}" -- vfkit "$@" \
  --device "virtio-net,fd=4,mac=${MAC:-52:54:00:5c:0d:01}"
