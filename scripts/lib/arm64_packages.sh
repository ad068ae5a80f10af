# Debian's arm64 packages on a machine of another architecture, by apt with a state of its own: this
# machine's packages stay as they are. Source it after common.sh.
# shellcheck shell=bash

# unpack_arm64 FOLDER PACKAGE...: downloads them, a package that only depends on the newest of its kind
# being that one, and unpacks them into FOLDER. Does nothing where that has been done.
unpack_arm64() {
  local folder=$1 apt="$1.apt" package deb
  shift
  [[ ! -e $folder.complete ]] || return 0
  rm -rf "$folder" "$apt"
  mkdir -p "$folder" "$apt"/{lists/partial,cache/archives/partial,debs}
  : > "$apt/status"
  local -a options=(-o "Dir::State=$apt" -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache"
                    -o "Dir::State::status=$apt/status" -o APT::Architecture=arm64
                    -o APT::Architectures::=arm64 -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update || return 1
  for package in "$@"; do
    [[ $package != linux-image-* ]] ||
      package=$(apt-cache "${options[@]}" depends "$package" |
                awk '/Depends: linux-image/ { print $2; exit }')
    (cd "$apt/debs" && apt-get "${options[@]}" download "$package") || return 1
  done
  for deb in "$apt"/debs/*.deb; do dpkg-deb --extract "$deb" "$folder" || return 1; done
  rm -rf "$apt"
  touch "$folder.complete"
}
