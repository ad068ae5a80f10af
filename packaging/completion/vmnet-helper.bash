# Completion of vmnet-helper for bash.

_vmnet_helper_options='--fd --socket --interface-id --operation-mode --shared-interface
  --start-address --end-address --subnet-mask --dns --enable-tso --enable-checksum-offload
  --enable-isolation --tap --network-id --host-ip-address --host-subnet-mask --network
  --stats-interval --list-shared-interfaces --verbose --version --help'

_vmnet_helper() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
  case $before in
    --operation-mode) mapfile -t COMPREPLY < <(compgen -W 'shared bridged host' -- "$word") ;;
    --shared-interface)
      mapfile -t COMPREPLY < <(compgen -W "$("$1" --list-shared-interfaces 2> /dev/null)" -- "$word")
      ;;
    --socket | -s) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
    --fd | -f | --interface-id | -i | --start-address | --end-address | --subnet-mask | --dns | \
      --network-id | --host-ip-address | --host-subnet-mask | --network | --stats-interval) ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$_vmnet_helper_options" -- "$word") ;;
  esac
}

complete -F _vmnet_helper vmnet-helper
