# Completion of vmnet-run for bash: its options, then those of the command. made by packaging/make_texts.py from src/helper/option_table.cc; change that.

_vmnet_run_options='--socket-type --interface-id --operation-mode --shared-interface --enable-tso
  --enable-checksum-offload --tap --enable-isolation --start-address --end-address --subnet-mask
  --ip-address --dns --network-id --host-ip-address --host-subnet-mask --network
  --stats-interval --capture --capture-size --verbose --version --help --'

# The place of the command: after --, or the first word that is no option and no option's value.
_vmnet_run_command() {
  local i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      --) echo $((i + 1)) && return ;;
      --socket-type | --interface-id | -i | --operation-mode | --shared-interface | --start-address | --end-address | --subnet-mask | --ip-address | --dns | --network-id | --host-ip-address | --host-subnet-mask | --network | --stats-interval | --capture | --capture-size)
        ((i++))
        [[ ${COMP_WORDS[i]} != = ]] || ((i++))
        ;;
      -*) ;;
      *) echo "$i" && return ;;
    esac
  done
  # The word to complete, where it has begun and is no value.
  if ((i == COMP_CWORD)) && [[ ${COMP_WORDS[i]} == [!-=]* ]]; then echo "$i"; fi
}

_vmnet_run() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} helper command
  command=$(_vmnet_run_command)
  if [[ $command ]]; then
    if declare -F _command_offset > /dev/null; then
      _command_offset "$command"
    else
      mapfile -t COMPREPLY < <(compgen -c -f -- "$word")
    fi
    return
  fi
  [[ $word == = ]] && word=
  [[ $before == = ]] && before=${COMP_WORDS[COMP_CWORD - 2]}
  helper=$(readlink -f "$(type -P "$1")")
  helper=${helper%/*}/vmnet-helper
  case $before in
    --socket-type) mapfile -t COMPREPLY < <(compgen -W 'dgram stream' -- "$word") ;;
    --operation-mode) mapfile -t COMPREPLY < <(compgen -W 'shared bridged host' -- "$word") ;;
    --shared-interface) mapfile -t COMPREPLY < <(compgen -W "$("$helper" --list-shared-interfaces 2> /dev/null)" -- "$word") ;;
    --capture) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
    --interface-id | -i | --start-address | --end-address | --subnet-mask | --ip-address | \
      --dns | --network-id | --host-ip-address | --host-subnet-mask | --network | \
      --stats-interval | --capture-size) ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$_vmnet_run_options" -- "$word") ;;
  esac
}

complete -F _vmnet_run vmnet-run
