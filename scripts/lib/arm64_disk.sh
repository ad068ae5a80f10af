# Makes build/vm-arm64/disk.img: the small guest of the example tool's tests (tests/support/vm_init/disk_init)
# for arm64, booting by UEFI as arm64 does: Debian's cloud kernel, systemd-boot, busybox. Source it
# after common.sh, vm_image.sh and arm64_packages.sh.
# shellcheck shell=bash disable=SC2034,SC2154

readonly arm64_disk_packages=(qemu-system-arm qemu-efi-aarch64 cpio mtools fdisk kmod)
readonly arm64_vm="$repository/build/vm-arm64"

copy_arm64_module() {
  local module
  module=$(find "$arm64_vm/packages/lib/modules" -name "$1.ko" -print -quit)
  # The kernel may have it built in.
  [[ -z $module ]] || cp "$module" "$2"
}

make_arm64_initramfs() {
  local root="$arm64_vm/root" name number=10
  rm -rf "$root"
  mkdir -p "$root"/{bin,dev,etc,proc,sys,tmp,run,modules/extra}
  cp "$arm64_vm/packages/bin/busybox" "$root/bin/busybox"
  # The names are compiled in, the same for every architecture.
  for name in $(busybox --list); do [[ $name == busybox ]] || ln -s busybox "$root/bin/$name"; done
  for name in "${vm_modules[@]}"; do
    copy_arm64_module "$name" "$root/modules/$number-$name.ko"
    number=$((number + 1))
  done
  copy_arm64_module evdev "$root/modules/extra"
  cp "$repository/tests/support/vm_init/disk_init" "$root/init"
  cp "$repository/tests/support/vm_init/udhcpc" "$root/"
  chmod 755 "$root/init" "$root/udhcpc"
  (cd "$root" && find . | cpio --quiet --create --format newc --owner 0:0) > "$arm64_vm/initramfs"
  rm -rf "$root"
}

make_arm64_disk() {
  local boot="$arm64_vm/boot.img"
  [[ ! -f $arm64_vm/disk.img ]] || return 0
  mkdir -p "$arm64_vm"
  unpack_arm64 "$arm64_vm/packages" linux-image-cloud-arm64 busybox-static systemd-boot-efi > /dev/null ||
    { say "apt could not download Debian's arm64 packages"; return 1; }
  make_arm64_initramfs
  rm -f "$boot"
  truncate -s 64M "$boot"
  mformat -i "$boot" -v BOOT ::
  mmd -i "$boot" ::EFI ::EFI/BOOT ::loader ::loader/entries
  mcopy -i "$boot" "$arm64_vm"/packages/boot/vmlinuz-* ::kernel
  mcopy -i "$boot" "$arm64_vm/initramfs" ::initrd
  mcopy -i "$boot" "$arm64_vm/packages/usr/lib/systemd/boot/efi/systemd-bootaa64.efi" ::EFI/BOOT/BOOTAA64.EFI
  printf 'timeout 0\n' | mcopy -i "$boot" - ::loader/loader.conf
  printf 'title small\nlinux /kernel\ninitrd /initrd\noptions console=ttyAMA0 quiet panic=-1\n' |
    mcopy -i "$boot" - ::loader/entries/small.conf
  truncate -s 66M "$arm64_vm/disk.img.new"
  echo "start=1MiB, size=64MiB, type=ef" | sfdisk --quiet --label dos "$arm64_vm/disk.img.new"
  dd if="$boot" of="$arm64_vm/disk.img.new" conv=notrunc,sparse bs=1M seek=1 status=none
  rm -f "$boot"
  mv "$arm64_vm/disk.img.new" "$arm64_vm/disk.img"
}
