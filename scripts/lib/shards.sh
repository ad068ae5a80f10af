# The end-to-end tests, in three labs at a time for two processors. Source it after common.sh.
# shellcheck shell=bash disable=SC2154

# What the tests wait for is mostly the kernel and time limits: a lab for each processor leaves a third
# of them idle, twice as many labs make the limits run out.
shards=$((($(nproc) * 3 + 1) / 2))
[[ $shards -le 4 ]] || shards=4
readonly shards
readonly shard_logs="$repository/build/end-to-end"

run_shard() {
  local shard=$1
  shift
  in_lab /usr/bin/python3 -m pytest -o "cache_dir=$shard_logs/cache-$shard" --color=no -ra \
    --durations=5 "--shard=$shard/$shards" "$@"
}

# The shard's pytest status; its lines go out with its number before them, and to its log.
run_shard_logged() {
  local shard=$1 status=0
  run_shard "$@" 2>&1 | tee "$shard_logs/$shard.log" | sed -u "s/^/[$shard] /" ||
    status=${PIPESTATUS[0]}
  [[ $status -eq 5 ]] || return "$status"  # a share without a test
}

# One closing line for all: "12 passed, 1 skipped".
print_shard_totals() {
  tail -qn 1 "$shard_logs"/?.log | grep -oE '[0-9]+ (passed|failed|errors?|skipped)' |
    awk '{ sum[$2] += $1 } END { for (word in sum) printf "%s%d %s", n++ ? ", " : "", sum[word], word; print "" }'
}

# Frames and processes are waited for with time limits, which a loaded machine can exceed: what
# failed is run once more by itself, and must pass then.
end_to_end_tests() {
  local -a running=() again=()
  local shard worst=0 status
  rm -rf "$shard_logs"
  mkdir -p "$shard_logs"
  for ((shard = 1; shard <= shards; shard++)); do
    run_shard_logged "$shard" "$@" &
    running[shard]=$!
  done
  for shard in "${!running[@]}"; do
    status=0
    wait "${running[$shard]}" || status=$?
    case $status in
      0) ;;
      1) again+=("$shard") ;;
      *) worst=$status ;;
    esac
  done
  [[ $worst -eq 0 ]] || { print_shard_totals; return "$worst"; }
  for shard in "${again[@]}"; do
    say "== once more, what failed in share $shard"
    run_shard "$shard" --last-failed --last-failed-no-failures none "$@" || worst=$?
  done
  if [[ ${#again[@]} -gt 0 && $worst -eq 0 ]]; then
    say "$(print_shard_totals), which passed when run once more"
  else
    print_shard_totals
  fi
  return "$worst"
}
