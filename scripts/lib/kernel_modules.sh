# A kernel's modules as the test VMs load them, whatever its distribution packs them like. Source it
# after common.sh.
# shellcheck shell=bash

# unpacked_kernel ROOT: the kernel file of packages that were unpacked into ROOT.
unpacked_kernel() {
  find "$1/boot" -name 'vmlinuz-*' -print -quit
}

# ROOT/lib/modules/VERSION, uncompressed and with their dependencies. Newer distributions have them in
# usr/lib, and compressed, which busybox cannot load.
lay_out_modules() {
  local root=$1 version
  version=$(unpacked_kernel "$root")
  version=${version##*/vmlinuz-}
  if [[ -d $root/usr/lib/modules ]]; then
    mkdir -p "$root/lib/modules"
    cp -a "$root/usr/lib/modules/." "$root/lib/modules"
    rm -rf "$root/usr/lib/modules"
  fi
  mkdir -p "$root/usr/lib"
  ln -s ../../lib/modules "$root/usr/lib/modules"  # where newer kmod looks
  find "$root/lib/modules" -name '*.ko.xz' -exec xz --decompress {} +
  find "$root/lib/modules" -name '*.ko.zst' -exec zstd --quiet --decompress --rm {} +
  depmod -b "$root" "$version"
}

# copy_modules ROOT FOLDER NAME...: the modules and what they need, numbered in the order of loading. What
# the kernel has built in is no file; a name that it does not know is an error.
copy_modules() {
  local root=$1 folder=$2 version name number=10 kind file order
  shift 2
  version=$(basename "$root"/lib/modules/*)
  for name in "$@"; do
    order=$(modprobe -d "$root" -S "$version" -C /dev/null --show-depends "$name")
    while read -r kind file _; do
      [[ $kind == insmod ]] || continue
      name=$(basename "$file")
      [[ -z $(find "$folder" -name "*-$name") ]] || continue
      cp "$file" "$folder/$number-$name"
      number=$((number + 1))
    done <<< "$order"
  done
}
