# Makes what a test VM boots from, in build/vm: Debian's cloud kernel, downloaded and unpacked but
# never installed, and an initramfs of busybox, iperf3, tcpdump and ethtool whose init takes
# commands over the serial console (tests/support/vm_init). Source it after common.sh.
# shellcheck shell=bash disable=SC2154

readonly vm="$repository/build/vm"
readonly kernel_package=linux-image-cloud-amd64
# In the order of their loading.
readonly vm_modules=(virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci
                     failover net_failover virtio_net)
# Loaded on demand: what a VM needs to see this machine's files, and to notice its power button.
readonly extra_modules=(fuse virtiofs overlay evdev button)

download_kernel() {
  local package
  package=$(apt-cache depends "$kernel_package" 2> /dev/null |
            awk '/Depends: linux-image/ { print $2; exit }')
  [[ -n $package ]] || return 1
  (cd "$vm" && apt-get --quiet -o APT::Sandbox::User=root download "$package" > /dev/null 2>&1)
}

# build/vm/kernel and build/vm/modules: the latter with all modules of the package.
fetch_kernel() {
  [[ ! -f $vm/kernel || ! -d $vm/modules ]] || return 0
  command -v apt-get > /dev/null || { say "no apt here: cannot fetch $kernel_package"; return 1; }
  mkdir -p "$vm"
  if ! download_kernel; then
    find_root && "${as_root[@]}" apt-get update --quiet > /dev/null
    download_kernel || { say "apt could not download $kernel_package"; return 1; }
  fi
  rm -rf "$vm/unpacked"
  dpkg-deb -x "$vm"/linux-image-*.deb "$vm/unpacked"
  rm -f "$vm"/linux-image-*.deb
  busybox depmod -b "$vm/unpacked" "$(basename "$vm"/unpacked/lib/modules/*)"
  rm -rf "$vm/modules"
  mv "$vm"/unpacked/lib/modules "$vm/modules"
  mv "$vm"/unpacked/boot/vmlinuz-* "$vm/kernel"
  rm -rf "$vm/unpacked"
}

# Copies a program and the shared libraries it needs into the image.
add_program() {
  local root=$1 program=$2 library
  cp -L --parents "$program" "$root"
  ldd "$program" | grep -oE '/[^ ]+' | while read -r library; do
    cp -L --parents "$library" "$root"
  done
}

copy_module() {
  cp "$(find "$vm/modules" -name "$1.ko" -print -quit)" "$2"
}

make_root() {
  local root=$1 name number=10
  mkdir -p "$root"/{bin,dev,etc,proc,sys,tmp,run,modules/extra}
  ln -s bin "$root/sbin"
  echo 'root:x:0:0:root:/:/bin/sh' > "$root/etc/passwd"  # tcpdump asks for its user
  cp "$(command -v busybox)" "$root/bin/busybox"
  for name in $(busybox --list); do
    [[ $name == busybox ]] || ln -s busybox "$root/bin/$name"
  done
  for name in iperf3 tcpdump ethtool; do add_program "$root" "$(command -v "$name")"; done
  for name in "${vm_modules[@]}"; do
    copy_module "$name" "$root/modules/$number-$name.ko"
    number=$((number + 1))
  done
  for name in "${extra_modules[@]}"; do copy_module "$name" "$root/modules/extra/$name.ko"; done
  cp "$repository/tests/support/vm_init/init" "$repository/tests/support/vm_init/udhcpc" "$root/"
  chmod 755 "$root/init" "$root/udhcpc"
}

# build/vm/initramfs: uncompressed, since unpacking costs an emulated processor more than reading.
make_initramfs() {
  local root="$vm/root"
  [[ ! -f $vm/initramfs || $repository/tests/support/vm_init/init -nt $vm/initramfs ||
     $repository/tests/support/vm_init/udhcpc -nt $vm/initramfs ||
     ${BASH_SOURCE[0]} -nt $vm/initramfs ]] || return 0
  rm -rf "$root"
  make_root "$root"
  (cd "$root" && find . | cpio --quiet --create --format newc --owner 0:0) > "$vm/initramfs.new"
  mv "$vm/initramfs.new" "$vm/initramfs"
  rm -rf "$root"
}

# build/vm/disk.img: kernel and initramfs as a disk that boots by itself, with an init of its own
# (tests/support/vm_init/disk_init): a guest for the example tool that is up in seconds.
make_disk() {
  local init="$repository/tests/support/vm_init/disk_init" folder="$vm/disk" boot="$vm/boot.img"
  [[ ! -f $vm/disk.img || $init -nt $vm/disk.img || $vm/initramfs -nt $vm/disk.img ]] || return 0
  rm -rf "$folder"
  mkdir -p "$folder"
  cp "$init" "$folder/init"
  # The kernel unpacks both: the second one's init counts.
  (cd "$folder" && echo init | cpio --quiet --create --format newc --owner 0:0) > "$vm/disk_init.cpio"
  rm -f "$boot"
  truncate -s 40M "$boot"
  mformat -i "$boot" -v BOOT ::
  mcopy -i "$boot" "$vm/kernel" ::kernel
  mcopy -i "$boot" "$vm/initramfs" ::initrd
  mcopy -i "$boot" "$vm/disk_init.cpio" ::init
  printf 'DEFAULT vm\nLABEL vm\nLINUX kernel\nINITRD initrd,init\nAPPEND console=ttyS0 quiet panic=-1\n' |
    mcopy -i "$boot" - ::syslinux.cfg
  syslinux --install "$boot"
  truncate -s 41M "$vm/disk.img.new"
  echo "start=1MiB, type=c, bootable" | sfdisk --quiet --label dos "$vm/disk.img.new"
  dd if=/usr/lib/syslinux/mbr/mbr.bin of="$vm/disk.img.new" conv=notrunc bs=440 count=1 status=none
  dd if="$boot" of="$vm/disk.img.new" conv=notrunc,sparse bs=1M seek=1 status=none
  mv "$vm/disk.img.new" "$vm/disk.img"
  rm -rf "$folder" "$boot" "$vm/disk_init.cpio"
}

# build/vm/accelerator: kvm where a kernel boots on it within seconds, else tcg. /dev/kvm alone says
# little: nested virtualisation may open and then hang.
choose_accelerator() {
  local file boot
  boot=$(cat /proc/sys/kernel/random/boot_id)
  file="$vm/accelerator"
  if [[ -f $file && $(tail -n 1 "$file") == "$boot" ]]; then return 0; fi
  local accelerator=tcg
  if find_root && "${as_root[@]}" test -w /dev/kvm &&
    "${as_root[@]}" timeout --kill-after=1 6 qemu-system-x86_64 -accel kvm -cpu host -m 128 \
      -nodefaults -no-user-config -display none -no-reboot -serial stdio -kernel "$vm/kernel" \
      -initrd "$vm/initramfs" -append "console=ttyS0 quiet panic=-1 lab.probe" \
      < /dev/null 2> /dev/null | grep -q "@@ ready"; then
    accelerator=kvm
  fi
  printf '%s\n%s\n' "$accelerator" "$boot" > "$file"
}

# All of build/vm. Fails with one line where it cannot be made.
make_vm_image() {
  [[ $(uname -m) == x86_64 ]] || { say "the test VM is x86_64 only"; return 1; }
  fetch_kernel && make_initramfs && make_disk && choose_accelerator
}
