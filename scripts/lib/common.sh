# Shared by the scripts: say what happens, install what is missing, build, find root. Source it.
# shellcheck shell=bash disable=SC2034
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly repository
readonly build="$repository/build/release"

# The exit status of a script that did what this machine allows, but not all: automake's "skipped".
readonly status_incomplete=77

readonly build_packages=(g++ cmake ninja-build pkg-config git libfmt-dev nlohmann-json3-dev
                         libmnl-dev libseccomp-dev libgtest-dev libgmock-dev)
readonly lab_packages=(iproute2 nftables procps util-linux hostname libcap2-bin busybox-static iperf3 python3)
readonly vm_packages=(qemu-system-x86 cpio kmod xz-utils zstd tcpdump ethtool mtools syslinux
                      syslinux-common fdisk)

say() { printf '%s\n' "$*"; }

# The words that run a command as root: none for root, sudo where it works; fails where neither does.
find_root() {
  as_root=()
  [[ $EUID -ne 0 ]] || return 0
  command -v sudo > /dev/null || return 1
  as_root=(sudo)
  if [[ -n ${CI:-} || ! -t 0 ]]; then as_root=(sudo --non-interactive); fi
  "${as_root[@]}" true 2> /dev/null
}

missing_packages() {
  local package
  for package in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null) == installed ]] ||
      echo "$package"
  done
}

# Installs those of the packages that are missing. On a machine without apt it trusts that the
# programs are there. Fails, with one line, where they cannot be installed.
need_packages() {
  command -v apt-get > /dev/null || return 0
  local -a missing
  mapfile -t missing < <(missing_packages "$@")
  [[ ${#missing[@]} -gt 0 ]] || return 0
  if ! find_root; then
    say "missing: ${missing[*]}; neither root nor sudo here: ask for 'apt-get install ${missing[*]}'"
    return 1
  fi
  say "installing: ${missing[*]}"
  local -a install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive
                    apt-get install --yes --quiet --no-install-recommends "${missing[@]}")
  "${install[@]}" > /dev/null 2>&1 && return 0
  "${as_root[@]}" apt-get update --quiet > /dev/null
  "${install[@]}" > /dev/null || { say "apt could not install: ${missing[*]}"; return 1; }
}

# Reads a build's output into a file and says how far it is: on a terminal in a line that changes,
# elsewhere in one every ten seconds.
show_progress() {
  local log=$1 what=$2 line next=$((SECONDS + 10)) shown=""
  while IFS= read -r line; do
    printf '%s\n' "$line" >> "$log"
    [[ $line =~ ^\[([0-9]+)/([0-9]+)\]\  ]] || continue
    if [[ -t 1 ]]; then
      printf '\rbuilding %s: %s of %s' "$what" "${BASH_REMATCH[@]:1:2}"
      shown=1
    elif ((SECONDS >= next)); then
      say "building $what: ${BASH_REMATCH[1]} of ${BASH_REMATCH[2]}"
      next=$((SECONDS + 10))
    fi
  done
  [[ -z $shown ]] || printf '\r\e[K'
}

# ON: of the release preset, several files are compiled at a time (scripts/check-fresh sets it).
unity_build=${VMNET_UNITY_BUILD:-}

# Configures a preset and builds the named targets (default: all); shows the output of a failure.
build_preset() {
  local preset=$1 log
  shift
  local -a targets=() options=()
  [[ $preset != release || -z $unity_build ]] || options=(-DCMAKE_UNITY_BUILD="$unity_build")
  [[ $# -eq 0 ]] || targets=(--target "$@")
  mkdir -p "$repository/build"
  log="$repository/build/$preset.log"
  : > "$log"
  (cd "$repository" && cmake --preset "$preset" "${options[@]}" && NINJA_STATUS="[%f/%t] " \
    cmake --build --preset "$preset" --parallel "$(nproc)" "${targets[@]}") 2>&1 |
    show_progress "$log" "$preset" ||
    { tail -n 60 "$log"; say "the build failed, see $log"; return 1; }
}

# Runs a command inside the lab; status 77 and one line where the machine has no room for it.
in_lab() {
  find_root || { say "neither root nor sudo here: the lab needs root to make its namespaces" \
    "(install sudo, or run as root)"; return "$status_incomplete"; }
  "${as_root[@]}" "$repository/tests/support/enter_lab" "$@"
}

# The newest clang-format or clang-tidy from 16 on, which read this code's C++23.
find_clang_tool() {
  local name=$1 version
  for version in 22 21 20 19 18 17 16; do
    command -v "$name-$version" && return 0
  done
  version=$("$name" --version 2> /dev/null | grep -oE 'version [0-9]+' | grep -oE '[0-9]+')
  [[ ${version:-0} -ge 16 ]] && command -v "$name"
}
