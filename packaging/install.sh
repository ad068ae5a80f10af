#!/bin/sh
# Installs vmnet-helper from a release, or takes it back; usage() has the options. It is run from a file or
# from a pipe, by root or by a user with sudo: what changes the system runs as $as_root, the rest as the user.
#
# Checks the tarball's checksum, refuses a folder that others than root may write to, says each
# thing that it does. All or nothing: where a step fails, what was there before is there again.
set -eu

prefix=/opt/vmnet-helper
parent=/opt
new_stage=$parent/.vmnet-helper.new
rule=/etc/sudoers.d/vmnet-helper
# What tells udev, networkd and NetworkManager to leave our devices alone (Linux).
manager_files='systemd/network/60-vmnet-helper.link systemd/network/60-vmnet-helper.network
  NetworkManager/conf.d/60-vmnet-helper.conf'
# What undo() has to remove or to put back.
work='' stage='' made_parent='' placing='' rule_placing='' managers_placing=''

# A reader that has gone does not end an installation in its middle.
say() { printf '%s\n' "$*" 2> /dev/null || :; }

fail() {
  printf 'install.sh: %s\n' "$*" >&2
  exit 1
}

usage() {
  cat <<'TEXT'
Installs vmnet-helper from a release into /opt/vmnet-helper, or takes it back.

  install.sh [--no-sudoers]                  the files beside this script, or else the newest release
  install.sh [--no-sudoers] TARBALL          this tarball
  install.sh [--no-sudoers] --from PLACE     the files in PLACE, a folder or an https:// address
  install.sh --uninstall                     removes what it installed

  --no-sudoers  without the rule that lets the group start it through sudo; then choose another way
                of docs/install.md: the setuid bit, file capabilities

Environment:
  VMNET_VERSION=vX.Y.Z    download that release; latest: the newest
  VMNET_INTERACTIVE=0     ask nothing
  VMNET_CONFIGURE_SUDO=0  as --no-sudoers; 1: the rule, without a question. Not set: the rule, but from
                          macOS 26 on, where no privilege is needed
  VMNET_USER, VMNET_REPO  whose releases, of which repository: a fork's
TEXT
}

# Zero or one, of an environment variable.
switch() {
  case $2 in
    0 | 1) ;;
    *) fail "$1=$2: give 0 or 1" ;;
  esac
}

read_environment() {
  version=${VMNET_VERSION:-}
  interactive=${VMNET_INTERACTIVE:-1}
  sudoers=${VMNET_CONFIGURE_SUDO:-}
  repository=${VMNET_USER:-vmnet-helper}/${VMNET_REPO:-vmnet-helper}
  switch VMNET_INTERACTIVE "$interactive"
  [ -z "$sudoers" ] || switch VMNET_CONFIGURE_SUDO "$sudoers"
  case $version in
    '' | latest) ;;
    v[0-9]*.[0-9]*.[0-9]*) case $version in *[!v0-9A-Za-z.-]*) fail "VMNET_VERSION=$version: no version" ;; esac ;;
    *) fail "VMNET_VERSION=$version: give vX.Y.Z or latest" ;;
  esac
}

read_options() {
  action=install_release from='' tarball=''
  while [ $# -gt 0 ]; do
    case $1 in
      --from) [ $# -gt 1 ] || fail "--from: needs a folder or an https:// address"; from=$2; shift ;;
      --from=*) from=${1#*=} ;;
      --no-sudoers) sudoers=0 ;;
      --uninstall) action=uninstall ;;
      -h | --help) usage; exit 0 ;;
      -*) fail "$1: no such option (--help lists them)" ;;
      *) [ -z "$tarball" ] || fail "$1: one tarball at a time"; tarball=$1 ;;
    esac
    shift
  done
  [ -z "$from" ] || [ -z "$tarball" ] || fail "give --from or a tarball, not both"
}

# Where the release is: what the user said, or beside this script, or where releases are published.
choose_source() {
  if [ -n "$tarball" ]; then
    [ -f "$tarball" ] || fail "$tarball: no such file"
    from=$(dirname "$tarball")
  elif [ -z "$from" ]; then
    beside=$(dirname "$0")
    releases=https://github.com/$repository/releases
    case $version in
      '') if [ -f "$beside/SHA256SUMS" ]; then from=$beside; else from=$releases/latest/download; fi ;;
      latest) from=$releases/latest/download ;;
      *) from=$releases/download/$version ;;
    esac
  fi
}

# From macOS 26 on the helper needs no privilege, so no rule.
needs_rule() {
  [ "$(uname -s)" != Darwin ] || [ "$(sw_vers -productVersion | cut -d. -f1)" -lt 26 ]
}

# A question needs somebody who reads it, and answers at the terminal: standard input may be this script.
choose_rule() {
  [ -z "$sudoers" ] || return 0
  sudoers=1
  if ! needs_rule; then sudoers=0; fi
  [ "$sudoers" = 1 ] && [ "$interactive" = 1 ] && [ -t 1 ] || return 0
  { printf 'Let a group start vmnet-helper through sudo without a password? [Y/n] ' &&
    read -r reply < /dev/tty; } 2> /dev/null || return 0
  case $reply in [Nn]*) sudoers=0 ;; esac
}

find_root() {
  as_root=''
  [ "$(id -u)" != 0 ] || return 0
  command -v sudo > /dev/null || fail "neither root nor sudo here: run it as root"
  as_root=sudo
  [ "$interactive" = 1 ] || as_root='sudo --non-interactive'
  $as_root true || fail "sudo does not let $(id -un) become root: run it as root"
}

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
    $as_root mkdir -m 755 "$parent"
    made_parent=yes
    say "made $parent"
  fi
  check_folder "$parent"
  [ ! -L "$prefix" ] || fail "$prefix is a symbolic link; remove it"
  [ ! -e "$prefix" ] || check_folder "$prefix"
  [ "$sudoers" = 0 ] || is_ours_or_absent "$rule" ||
    fail "$rule belongs to another installation (Debian's package?); remove that, or use --no-sudoers"
}

# A rule that names another program than ours stays as it is. Only root sees whether there is one.
is_ours_or_absent() {
  ! $as_root test -e "$1" || $as_root grep -q "$prefix/bin/vmnet-helper" "$1"
}

# The folder to unpack in, on the file system of the place; one that is there is another's.
claim_stage() {
  [ ! -e "$new_stage" ] ||
    fail "$new_stage is there: another installation runs, or one was killed: then run install.sh --uninstall first"
  $as_root mkdir -m 755 "$new_stage"
  stage=$new_stage
}

# The checksum of $name in the release's list; nothing where that does not name it.
listed_checksum() {
  awk -v n="$name" '$2 == n { print $1 }' "$work/SHA256SUMS"
}

# Its name is the list's word: one of this machine's kind.
find_name() {
  platform=$(platform)
  name=$(awk -v p="-$platform.tar.gz" \
    'index($2, "vmnet-helper-v") == 1 && substr($2, length($2) - length(p) + 1) == p { print $2 }' \
    "$work/SHA256SUMS")
  case $name in
    '') fail "SHA256SUMS names no tarball for $platform" ;;
    */* | *[[:space:]]*) fail "SHA256SUMS does not name one tarball for $platform" ;;
  esac
}

# The tarball, $work/$name, its checksum compared. For one that the user named there may be no list.
fetch_tarball() {
  if [ -n "$tarball" ]; then
    name=$(basename "$tarball")
    if [ -f "$from/SHA256SUMS" ]; then fetch SHA256SUMS; else : > "$work/SHA256SUMS"; fi
  else
    fetch SHA256SUMS
    find_name
  fi
  fetch "$name"
  wanted=$(listed_checksum)
  if [ -z "$wanted" ]; then
    say "not verified: no SHA256SUMS beside $name names it"
    return
  fi
  [ "$(sha256 "$work/$name")" = "$wanted" ] ||
    fail "$name: the checksum is not that of SHA256SUMS; download it again"
  say "verified $name"
}

# Unpacks beside the place, and looks whether it works here, before anything is replaced.
unpack() {
  # Members begin with opt/vmnet-helper: nothing else of the tarball is unpacked.
  $as_root tar -xzf "$work/$name" -C "$stage" --no-same-owner -p opt/vmnet-helper ||
    fail "$name cannot be unpacked in $parent"
  new=$stage/opt/vmnet-helper
  $as_root chown -R 0:0 "$new"
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
  [ ! -e "$prefix" ] || $as_root mv "$prefix" "$stage/old"
  placing=yes  # from here on what is in $prefix is new
  $as_root mv "$new" "$prefix"
  [ -z "$made_parent" ] || $as_root touch "$prefix/share/doc/vmnet-helper/made-parent"
  say "installed $prefix ($version)"
}

install_rule() {
  source=$prefix/share/doc/vmnet-helper/sudoers.d/vmnet-helper
  if ! command -v visudo > /dev/null; then
    say "sudo is not installed: no rule installed ($source)"
    return
  fi
  $as_root visudo -c -q -f "$source" || fail "$source: sudo does not accept it"
  [ -d "${rule%/*}" ] || fail "${rule%/*}: no such folder"
  # Whole or not at all, since sudo refuses everybody over half a rule. It reads no name with a dot.
  ! $as_root test -e "$rule" || $as_root cp -p "$rule" "$stage/rule"
  rule_placing=yes
  { $as_root install -m 440 -o 0 -g 0 "$source" "$rule.new" && $as_root mv -f "$rule.new" "$rule"; } ||
    fail "$rule cannot be written"
  group=$(sed -n 's/^%\([a-z]*\) .*/\1/p' "$source")
  say "installed $rule: members of the group $group may start it"
  [ "$(uname -s)" != Linux ] || getent group "$group" > /dev/null ||
    say "note: there is no group $group yet: groupadd --system $group"
}

# Each where its reader is: no folder is made for it. What was there of an older release is kept until the end.
install_manager_files() {
  [ "$(uname -s)" = Linux ] || return 0
  managers_placing=yes
  for file in $manager_files; do
    [ -d "/etc/${file%/*}" ] && [ -f "$prefix/share/doc/vmnet-helper/$file" ] || continue
    [ ! -e "/etc/$file" ] || $as_root cp -p "/etc/$file" "$stage/${file##*/}"
    $as_root install -m 644 -o 0 -g 0 "$prefix/share/doc/vmnet-helper/$file" "/etc/$file" ||
      fail "/etc/$file cannot be written"
    say "installed /etc/$file"
  done
}

put_manager_files_back() {
  for file in $manager_files; do
    if [ -e "$stage/${file##*/}" ]; then
      $as_root mv -f "$stage/${file##*/}" "/etc/$file"
    else
      $as_root rm -f "/etc/$file"
    fi
  done
}

put_rule_back() {
  $as_root rm -f "$rule.new"
  if [ -e "$stage/rule" ]; then $as_root mv -f "$stage/rule" "$rule"; else $as_root rm -f "$rule"; fi
}

# Runs at every end: nothing of a failed installation stays.
undo() {
  status=$?
  trap - EXIT HUP INT TERM
  if [ "$status" != 0 ]; then
    [ -z "$managers_placing" ] || put_manager_files_back
    [ -z "$rule_placing" ] || put_rule_back
    [ -z "$placing" ] || $as_root rm -rf "$prefix"
    [ -z "$stage" ] || [ ! -e "$stage/old" ] || $as_root mv "$stage/old" "$prefix"
  fi
  [ -z "$stage" ] || $as_root rm -rf "$stage"
  if [ "$status" != 0 ]; then
    [ -z "$made_parent" ] || $as_root rmdir "$parent"
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
  choose_source
  find_root
  choose_rule
  check_place
  claim_stage
  work=$(mktemp -d)
  fetch_tarball
  unpack
  place
  if [ "$sudoers" = 1 ]; then install_rule; else say "no sudoers rule installed"; fi
  install_manager_files
}

uninstall() {
  find_root
  removed=no
  made_parent=no
  [ ! -e "$prefix/share/doc/vmnet-helper/made-parent" ] || made_parent=yes
  set -- "$rule" "$rule.new" "$prefix" "$new_stage"
  for file in $manager_files; do set -- "$@" "/etc/$file"; done
  for path; do
    $as_root test -e "$path" || $as_root test -L "$path" || continue
    if [ "$path" = "$rule" ] && ! is_ours_or_absent "$rule"; then
      say "left $rule: it belongs to another installation"
      continue
    fi
    $as_root rm -rf "$path"
    say "removed $path"
    removed=yes
  done
  if [ "$made_parent" = yes ] && $as_root rmdir "$parent" 2> /dev/null; then say "removed $parent"; fi
  [ "$removed" = yes ] || say "nothing to remove"
}

main() {
  PATH=$PATH:/usr/sbin:/sbin  # a user's may lack visudo's and getcap's
  read_environment
  read_options "$@"
  $action
}

# The last line: half a script, of a download that broke off, does nothing.
main "$@"
