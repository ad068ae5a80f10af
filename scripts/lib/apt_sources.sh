# Where mmdebstrap gets a distribution's packages: the machine's own sources where they are of that
# distribution, else mmdebstrap's own default. Source it after common.sh.
# shellcheck shell=bash disable=SC2154

readonly -A suites=([debian-12]=bookworm [debian-13]=trixie [debian-sid]=sid ["ubuntu-24.04"]=noble)

# The machine's sources of its own release, in apt's newer form and in its older one.
machine_sources() {
  local id codename file
  # shellcheck source=/dev/null
  id=$(. /etc/os-release && echo "${ID:-}")
  # shellcheck source=/dev/null
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  [[ $1 == "$id"-* && -n $codename ]] || return 0
  for file in "/etc/apt/sources.list.d/$id.sources" /etc/apt/sources.list; do
    if grep -qs "$codename" "$file"; then
      sed "s/\\b$codename\\b/${suites[$1]}/g" "$file"
      return
    fi
  done
}

# make_minimal NAME TARGET LOG MMDEBSTRAP-OPTION...: a minimal system of that name, without ever a part of
# one. As root. Fails with the last line of the log.
make_minimal() {
  local name=$1 target=$2 log=$3 sources="$2.sources" proxy
  shift 3
  local -a options=(--variant=minbase "$@")
  # mmdebstrap reads neither the machine's proxies nor its sources by itself.
  while IFS= read -r proxy; do options+=(--aptopt="${proxy%;}"); done \
    < <(apt-config dump | grep -iE '^Acquire::https?::Proxy ' || true)
  # A mirror that stands still says once that it is of today, and no more.
  [[ $name != debian-sid ]] || options+=(--aptopt='Acquire::Check-Valid-Until "false"')
  options+=("${suites[$name]}" "$target.new")
  machine_sources "$name" > "$sources"
  [[ ! -s $sources ]] || options+=("$sources")
  rm -rf "$target.new"
  # The mounts that it makes must not reach the machine.
  if ! unshare --mount --pid --fork --mount-proc mmdebstrap "${options[@]}" < /dev/null > "$log" 2>&1; then
    rm -rf "$target.new" "$sources"
    say "mmdebstrap could not make $name: $(grep -E '^E: ' "$log" | tail -n 1)"
    return 1
  fi
  rm -rf "$target" "$sources"
  mv "$target.new" "$target"
}
