# Completion of vmnet-helper for bash, made by packaging/make_texts.py from src/helper/option_table.cc; change that.

_vmnet_helper_options='--fd --socket --socket-type --interface-id --operation-mode --shared-interface --enable-tso
  --enable-checksum-offload --tap --enable-isolation --start-address --end-address --subnet-mask
  --ip-address --dns --network-id --host-ip-address --host-subnet-mask --network
  --stats-interval --capture --capture-size --verbose --list-shared-interfaces --version --help'

_vmnet_helper() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} helper=$1
  # bash takes OPTION=VALUE for three words.
  [[ $word == = ]] && word=
  [[ $before == = ]] && before=${COMP_WORDS[COMP_CWORD - 2]}
  case $before in
    --socket | -s) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
    --socket-type) mapfile -t COMPREPLY < <(compgen -W 'dgram stream' -- "$word") ;;
    --operation-mode) mapfile -t COMPREPLY < <(compgen -W 'shared bridged host' -- "$word") ;;
    --shared-interface) mapfile -t COMPREPLY < <(compgen -W "$("$helper" --list-shared-interfaces 2> /dev/null)" -- "$word") ;;
    --capture) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
    --fd | -f | --interface-id | -i | --start-address | --end-address | --subnet-mask | \
      --ip-address | --dns | --network-id | --host-ip-address | --host-subnet-mask | --network | \
      --stats-interval | --capture-size) ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$_vmnet_helper_options" -- "$word") ;;
  esac
}

complete -F _vmnet_helper vmnet-helper
