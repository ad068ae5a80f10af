#!/bin/sh
# Installs vmnet-helper from a release, or takes it back. Run it as root.
#
#   install.sh [--from FOLDER_OR_URL] [--no-sudoers]    installs into /opt/vmnet-helper
#   install.sh --uninstall                              removes what it installed
#
#   --from        where the release's tarball and SHA256SUMS are (default: beside this script)
#   --no-sudoers  without the rule that lets the group start it through sudo; then choose another way
#                 of share/doc/vmnet-helper or docs/install.md: the setuid bit, file capabilities
#
# Checks the tarball's checksum, refuses a folder that others than root may write to, says each
# thing that it does.
set -eu

prefix=/opt/vmnet-helper
rule=/etc/sudoers.d/vmnet-helper
from=$(dirname "$0")
sudoers=yes
action=install
work=

say() { printf '%s\n' "$*"; }

fail() {
  printf 'install.sh: %s\n' "$*" >&2
  exit 1
}

usage() { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0"; }

while [ $# -gt 0 ]; do
  case $1 in
    --from) [ $# -gt 1 ] || fail "--from: needs a folder or a URL"; from=$2; shift ;;
    --from=*) from=${1#*=} ;;
    --no-sudoers) sudoers=no ;;
    --uninstall) action=uninstall ;;
    -h | --help) usage; exit 0 ;;
    *) fail "$1: no such option (--help lists them)" ;;
  esac
  shift
done

platform() {
  case $(uname -s)-$(uname -m) in
    Linux-x86_64) echo linux-x86_64 ;;
    Linux-aarch64) echo linux-arm64 ;;
    Darwin-*) echo macos ;;
    *) fail "no release for $(uname -s) on $(uname -m)" ;;
  esac
}

# fetch NAME: copies a file of the release into the work folder.
fetch() {
  case $from in
    http://* | https://*)
      curl --fail --silent --show-error --location --output "$work/$1" "$from/$1" ||
        fail "cannot download $from/$1" ;;
    *)
      [ -f "$from/$1" ] || fail "$from/$1: no such file"
      cp "$from/$1" "$work/$1" ;;
  esac
}

sha256() {
  if command -v sha256sum > /dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d' ' -f1
}

# Whoever may write to a folder of the path may replace the program that runs as root.
check_folder() {
  folder=$1
  while :; do
    if [ -e "$folder" ] || [ -L "$folder" ]; then
      # Mode and owner as ls prints them, for stat(1) differs between systems.
      # shellcheck disable=SC2012,SC2046
      set -- $(ls -ldn "$folder/." | awk '{ print $1, $3 }')
      [ "$2" = 0 ] || fail "$folder belongs to user $2, who could replace the program; chown it to root"
      case $1 in
        d????-??-*) ;;
        *) fail "$folder may be written to by others ($1), who could replace the program; chmod go-w it" ;;
      esac
    fi
    [ "$folder" != / ] || break
    folder=$(dirname "$folder")
  done
}

install_release() {
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  fetch SHA256SUMS
  name=$(awk -v p="$(platform)" 'index($2, "-" p) && $2 ~ /^vmnet-helper-v.*\.tar\.gz$/ { print $2 }' \
    "$work/SHA256SUMS")
  [ -n "$name" ] || fail "SHA256SUMS names no tarball for $(platform)"
  fetch "$name"
  wanted=$(awk -v n="$name" '$2 == n { print $1 }' "$work/SHA256SUMS")
  [ "$(sha256 "$work/$name")" = "$wanted" ] ||
    fail "$name: the checksum is not that of SHA256SUMS; download it again"
  say "verified $name"
  check_folder "$prefix"
  # Members begin with opt/vmnet-helper: nothing else of the tarball is unpacked.
  tar -xzf "$work/$name" -C / --no-same-owner -p opt/vmnet-helper
  chown -R 0:0 "$prefix"
  check_folder "$prefix/bin"
  say "installed $prefix ($("$prefix/bin/vmnet-helper" --version | sed -n 's/^version: //p'))"
  if [ "$sudoers" = yes ]; then install_rule; else say "no sudoers rule installed"; fi
}

install_rule() {
  source=$prefix/share/doc/vmnet-helper/sudoers.d/vmnet-helper
  if ! command -v visudo > /dev/null; then
    say "sudo is not installed: no rule installed ($source)"
    return
  fi
  visudo -c -q -f "$source" || fail "$source: sudo does not accept it"
  install -m 440 -o 0 -g 0 "$source" "$rule"
  say "installed $rule: members of the group $(sed -n 's/^%\([a-z]*\) .*/\1/p' "$rule") may start it"
}

uninstall() {
  removed=no
  for path in "$rule" "$prefix"; do
    [ -e "$path" ] || continue
    rm -rf "$path"
    say "removed $path"
    removed=yes
  done
  [ "$removed" = yes ] || say "nothing to remove"
}

[ "$(id -u)" = 0 ] || fail "run it as root: sudo sh $0"
case $action in
  install) install_release ;;
  uninstall) uninstall ;;
esac
