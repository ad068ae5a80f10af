# Makes a fresh Debian 12 in build/rootfs/debian-12 for the tests of installation: what debootstrap
# calls minbase, with the packages that an installation may want downloaded, not installed.
# Source it after common.sh.
# shellcheck shell=bash disable=SC2154

readonly root_fs="$repository/build/rootfs"
# What apt finds without a network: vmnet-helper's dependencies and what they recommend, docs/install.md's tools.
readonly root_fs_archives=(sudo libcap2-bin libmnl0 libfmt9 libseccomp2 debconf)

# The machine's own apt sources where they are Debian 12's, else Debian's.
debian_sources() {
  local -a files
  mapfile -t files < <(grep -ls bookworm /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list)
  if [[ ${#files[@]} -gt 0 ]]; then
    echo "${files[0]}"
  else
    echo "deb http://deb.debian.org/debian bookworm main"
  fi
}

# All of build/rootfs. Fails with one line where it cannot be made.
make_root_fs() {
  local new="$root_fs/new" log="$root_fs/log"
  [[ ! -d $root_fs/debian-12 || ${BASH_SOURCE[0]} -nt $root_fs/debian-12 ]] || return 0
  find_root || { say "a fresh Debian needs root"; return 1; }
  need_packages mmdebstrap || return 1
  # Holds programs with the setuid bit, which only its own users are meant to reach.
  "${as_root[@]}" install -d -m 700 "$root_fs"
  "${as_root[@]}" rm -rf "$new"
  say "making a fresh Debian 12 (build/rootfs, some minutes)"
  # The mounts that it makes must not reach the machine.
  # shellcheck disable=SC2016
  "${as_root[@]}" unshare --mount --pid --fork --mount-proc mmdebstrap --mode=root --variant=minbase \
    --skip=cleanup/apt --customize-hook="APT_CONFIG=\$MMDEBSTRAP_APT_CONFIG apt-get --yes --quiet \
      -o APT::Install-Recommends=true --download-only --reinstall install ${root_fs_archives[*]}" \
    --customize-hook='mkdir -p "$1/dev/net" && mknod -m 666 "$1/dev/net/tun" c 10 200' \
    bookworm "$new" "$(debian_sources)" < /dev/null 2>&1 | "${as_root[@]}" tee "$log" > /dev/null ||
    { say "mmdebstrap failed: $("${as_root[@]}" tail -n 1 "$log")"; return 1; }
  "${as_root[@]}" rm -rf "$root_fs/debian-12"
  "${as_root[@]}" touch "$new"
  "${as_root[@]}" mv "$new" "$root_fs/debian-12"
}
