#!/bin/sh
# Installs vmnet-helper from a release, or takes it back. Run it as root.
#
#   install.sh [--from FOLDER_OR_URL] [--no-sudoers]    installs into /opt/vmnet-helper
#   install.sh --uninstall                              removes what it installed
#
#   --from        where the release's tarball and SHA256SUMS are: a folder or an https:// address
#                 (default: beside this script)
#   --no-sudoers  without the rule that lets the group start it through sudo; then choose another way
#                 of docs/install.md: the setuid bit, file capabilities
#
# Checks the tarball's checksum, refuses a folder that others than root may write to, says each
# thing that it does. All or nothing: where a step fails, what was there before is there again.
set -eu

prefix=/opt/vmnet-helper
parent=/opt
new_stage=$parent/.vmnet-helper.new
rule=/etc/sudoers.d/vmnet-helper
from=$(dirname "$0")
sudoers=yes
action=install
# What undo() has to remove or to put back.
work='' stage='' made_parent='' placing='' rule_placing=''

# A reader that has gone does not end an installation in its middle.
say() { printf '%s\n' "$*" 2> /dev/null || :; }

fail() {
  printf 'install.sh: %s\n' "$*" >&2
  exit 1
}

usage() { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0"; }

while [ $# -gt 0 ]; do
  case $1 in
    --from) [ $# -gt 1 ] || fail "--from: needs a folder or an https:// address"; from=$2; shift ;;
    --from=*) from=${1#*=} ;;
    --no-sudoers) sudoers=no ;;
    --uninstall) action=uninstall ;;
    -h | --help) usage; exit 0 ;;
    *) fail "$1: no such option (--help lists them)" ;;
  esac
  shift
done

# The last part of the tarball's name. macOS has one for both processors.
platform() {
  case $(uname -s)-$(uname -m) in
    Linux-x86_64) echo linux-x86_64 ;;
    Linux-aarch64) echo linux-arm64 ;;
    Darwin-*) echo macos-universal ;;
    *) fail "no release for $(uname -s) on $(uname -m)" ;;
  esac
}

# fetch NAME: copies a file of the release into the work folder.
fetch() {
  case $from in
    https://*)
      command -v curl > /dev/null || fail "curl is missing: download the files and use --from FOLDER"
      curl --proto '=https' --fail --silent --show-error --location --output "$work/$1" "$from/$1" ||
        fail "cannot download $from/$1" ;;
    *://*) fail "--from $from: only https:// addresses and folders" ;;
    *)
      [ -f "$from/$1" ] || fail "$from/$1: no such file"
      cp "$from/$1" "$work/$1" ;;
  esac
}

sha256() {
  if command -v sha256sum > /dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d' ' -f1
}

# Whoever may write to a folder of the path may replace the program that runs as root. Links are
# followed first, so that it is the real folders that are looked at.
check_folder() {
  folder=$(cd -P "$1" && pwd -P) || fail "$1 is no folder"
  while :; do
    # Mode and owner as ls prints them, for stat(1) differs between systems.
    # shellcheck disable=SC2012,SC2046
    set -- $(ls -ldn "$folder/." | awk '{ print $1, $3 }')
    [ "$2" = 0 ] || fail "$folder belongs to user $2, who could replace the program; chown it to root"
    case $1 in
      d????-??-*) ;;
      *) fail "$folder may be written to by others ($1), who could replace the program; chmod go-w it" ;;
    esac
    [ "$folder" != / ] || break
    folder=$(dirname "$folder")
  done
}

# Looks at the place to install to, and makes /opt where there is none (macOS).
check_place() {
  if [ ! -e "$parent" ]; then
    mkdir -m 755 "$parent"
    made_parent=yes
    say "made $parent"
  fi
  check_folder "$parent"
  [ ! -L "$prefix" ] || fail "$prefix is a symbolic link; remove it"
  [ ! -e "$prefix" ] || check_folder "$prefix"
  [ "$sudoers" = no ] || is_ours_or_absent "$rule" ||
    fail "$rule belongs to another installation (Debian's package?); remove that, or use --no-sudoers"
}

# A rule that names another program than ours stays as it is.
is_ours_or_absent() {
  [ ! -e "$1" ] || grep -q "$prefix/bin/vmnet-helper" "$1"
}

# The folder to unpack in, on the file system of the place; one that is there is another's.
claim_stage() {
  [ ! -e "$new_stage" ] ||
    fail "$new_stage is there: another installation runs, or one was killed: then run install.sh --uninstall first"
  mkdir -m 700 "$new_stage"
  stage=$new_stage
}

# The release's tarball for this machine, $work/$name, its checksum compared.
fetch_tarball() {
  platform=$(platform)
  fetch SHA256SUMS
  name=$(awk -v p="-$platform.tar.gz" \
    'index($2, "vmnet-helper-v") == 1 && substr($2, length($2) - length(p) + 1) == p { print $2 }' \
    "$work/SHA256SUMS")
  case $name in
    '') fail "SHA256SUMS names no tarball for $platform" ;;
    */* | *[[:space:]]*) fail "SHA256SUMS does not name one tarball for $platform" ;;
  esac
  fetch "$name"
  wanted=$(awk -v n="$name" '$2 == n { print $1 }' "$work/SHA256SUMS")
  [ "$(sha256 "$work/$name")" = "$wanted" ] ||
    fail "$name: the checksum is not that of SHA256SUMS; download it again"
  say "verified $name"
}

# Unpacks beside the place, and looks whether it works here, before anything is replaced.
unpack() {
  # Members begin with opt/vmnet-helper: nothing else of the tarball is unpacked.
  tar -xzf "$work/$name" -C "$stage" --no-same-owner -p opt/vmnet-helper ||
    fail "$name cannot be unpacked in $parent"
  new=$stage/opt/vmnet-helper
  chown -R 0:0 "$new"
  version=$("$new/bin/vmnet-helper" --version | sed -n 's/^version: //p') || version=
  [ -n "$version" ] || fail "vmnet-helper of $name does not run here (is libmnl installed?)"
}

# What the old one had beyond its files is not carried over.
note_privileges() {
  [ -e "$prefix/bin/vmnet-helper" ] || return 0
  [ ! -u "$prefix/bin/vmnet-helper" ] || say "note: the setuid bit of the old one is gone; set it again"
  if command -v getcap > /dev/null && [ -n "$(getcap "$prefix/bin/vmnet-helper")" ]; then
    say "note: the file capabilities of the old one are gone; set them again"
  fi
}

place() {
  note_privileges
  [ ! -e "$prefix" ] || mv "$prefix" "$stage/old"
  placing=yes  # from here on what is in $prefix is new
  mv "$new" "$prefix"
  [ -z "$made_parent" ] || : > "$prefix/share/doc/vmnet-helper/made-parent"
  say "installed $prefix ($version)"
}

install_rule() {
  source=$prefix/share/doc/vmnet-helper/sudoers.d/vmnet-helper
  if ! command -v visudo > /dev/null; then
    say "sudo is not installed: no rule installed ($source)"
    return
  fi
  visudo -c -q -f "$source" || fail "$source: sudo does not accept it"
  [ -d "${rule%/*}" ] || fail "${rule%/*}: no such folder"
  # Whole or not at all, since sudo refuses everybody over half a rule. It reads no name with a dot.
  [ ! -e "$rule" ] || cp -p "$rule" "$stage/rule"
  rule_placing=yes
  { install -m 440 -o 0 -g 0 "$source" "$rule.new" && mv -f "$rule.new" "$rule"; } ||
    fail "$rule cannot be written"
  group=$(sed -n 's/^%\([a-z]*\) .*/\1/p' "$rule")
  say "installed $rule: members of the group $group may start it"
  [ "$(uname -s)" != Linux ] || getent group "$group" > /dev/null ||
    say "note: there is no group $group yet: groupadd --system $group"
}

put_rule_back() {
  rm -f "$rule.new"
  if [ -e "$stage/rule" ]; then mv -f "$stage/rule" "$rule"; else rm -f "$rule"; fi
}

# Runs at every end: nothing of a failed installation stays.
undo() {
  status=$?
  trap - EXIT HUP INT TERM
  if [ "$status" != 0 ]; then
    [ -z "$rule_placing" ] || put_rule_back
    [ -z "$placing" ] || rm -rf "$prefix"
    [ -z "$stage" ] || [ ! -e "$stage/old" ] || mv "$stage/old" "$prefix"
  fi
  [ -z "$stage" ] || rm -rf "$stage"
  if [ "$status" != 0 ]; then
    [ -z "$made_parent" ] || rmdir "$parent"
    say "install.sh: nothing was changed" >&2
  fi
  [ -z "$work" ] || rm -rf "$work"
  exit "$status"
}

install_release() {
  umask 022
  trap undo EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  trap '' PIPE
  check_place
  claim_stage
  work=$(mktemp -d)
  fetch_tarball
  unpack
  place
  if [ "$sudoers" = yes ]; then install_rule; else say "no sudoers rule installed"; fi
}

uninstall() {
  removed=no
  made_parent=no
  [ ! -e "$prefix/share/doc/vmnet-helper/made-parent" ] || made_parent=yes
  for path in "$rule" "$rule.new" "$prefix" "$new_stage"; do
    [ -e "$path" ] || [ -L "$path" ] || continue
    if [ "$path" = "$rule" ] && ! is_ours_or_absent "$rule"; then
      say "left $rule: it belongs to another installation"
      continue
    fi
    rm -rf "$path"
    say "removed $path"
    removed=yes
  done
  if [ "$made_parent" = yes ] && rmdir "$parent" 2> /dev/null; then say "removed $parent"; fi
  [ "$removed" = yes ] || say "nothing to remove"
}

[ "$(id -u)" = 0 ] || fail "run it as root: sudo sh $0"
case $action in
  install) install_release ;;
  uninstall) uninstall ;;
esac
