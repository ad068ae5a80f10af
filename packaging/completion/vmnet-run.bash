# Completion of vmnet-run for bash: its options, and after -- those of the command.

_vmnet_run_options='--interface-id --operation-mode --shared-interface --start-address --end-address
  --subnet-mask --dns --enable-tso --enable-checksum-offload --enable-isolation --tap --network-id
  --host-ip-address --host-subnet-mask --network --stats-interval --verbose --version --help --'

_vmnet_run() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} i helper
  for ((i = 1; i < COMP_CWORD; i++)); do
    [[ ${COMP_WORDS[i]} == -- ]] || continue
    if declare -F _command_offset > /dev/null; then
      _command_offset $((i + 1))
    else
      mapfile -t COMPREPLY < <(compgen -c -f -- "$word")
    fi
    return
  done
  case $before in
    --operation-mode) mapfile -t COMPREPLY < <(compgen -W 'shared bridged host' -- "$word") ;;
    --shared-interface)
      helper=$(readlink -f "$(type -P "$1")")
      helper=${helper%/*}/vmnet-helper
      mapfile -t COMPREPLY < <(compgen -W "$("$helper" --list-shared-interfaces 2> /dev/null)" -- "$word")
      ;;
    --interface-id | -i | --start-address | --end-address | --subnet-mask | --dns | \
      --network-id | --host-ip-address | --host-subnet-mask | --network | --stats-interval) ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$_vmnet_run_options" -- "$word") ;;
  esac
}

complete -F _vmnet_run vmnet-run
