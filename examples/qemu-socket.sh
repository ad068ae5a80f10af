#!/bin/bash
# A VM in QEMU on a helper's socket of a name: the helper makes it, jq reads the JSON. What is given is
# passed to QEMU.
#
#   qemu-socket.sh -m 1G -drive file=disk.qcow2,if=virtio
#
# VMNET_HELPER names the program where it is not /opt/vmnet-helper/bin/vmnet-helper; VMNET_OPTIONS are
# options for it, such as --interface-id UUID.
set -euo pipefail

helper=${VMNET_HELPER:-/opt/vmnet-helper/bin/vmnet-helper}
read -ra options <<< "${VMNET_OPTIONS:-}"
dir=$(mktemp -d)

finish() {
  trap - EXIT
  [[ -z ${vm:-} ]] || kill "$vm" 2> /dev/null || true
  [[ -z ${pid:-} ]] || kill "$pid" 2> /dev/null || true # sudo passes it on: everything is removed
  wait
  rm -r "$dir"
}
trap finish EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

mkfifo "$dir/json"
# shellcheck disable=SC2024 # the pipe is ours
sudo --non-interactive "$helper" --socket "$dir/vm.sock" "${options[@]}" > "$dir/json" < /dev/null &
pid=$!
# The interface works and the socket is there once the line is. No line: it failed and said why.
read -r json < "$dir/json" || exit 1
mac=$(jq -r .vmnet_mac_address <<< "$json")
echo "Virtual machine IP address: $(jq -r .ip_address <<< "$json")"

remote="remote.type=unix,remote.path=$dir/vm.sock"
qemu-system-x86_64 "$@" \
  -netdev "dgram,id=net0,local.type=unix,local.path=$dir/qemu.sock,$remote" \
  -device "virtio-net-pci,netdev=net0,mac=$mac" <&0 &
vm=$! # in the background, since bash looks at signals only while it waits
wait "$vm"
