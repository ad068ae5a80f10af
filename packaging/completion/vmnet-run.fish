# Completion of vmnet-run for fish, made by packaging/make_texts.py from src/helper/option_table.cc; change that.

complete -c vmnet-run -f

# The command's words, the one to complete too: those after --, or from the first that is no option and no
# option's value. Fails where it is the options' turn.
function __vmnet_run_command
    set -l words (commandline -opc) (commandline -ct)
    set -l value no
    for i in (seq 2 (count $words))
        if test $value = yes
            set value no
        else if test "$words[$i]" = -- -a $i -lt (count $words)
            string join \n -- $words[(math $i + 1)..]
            return 0
        else if contains -- "$words[$i]" --socket-type --interface-id -i --operation-mode --shared-interface --start-address --end-address --subnet-mask --ip-address --dns --network-id --host-ip-address --host-subnet-mask --network --stats-interval --capture --capture-size
            set value yes
        else if not string match -q -- '-*' "$words[$i]"
            string join \n -- $words[$i..]
            return 0
        end
    end
    return 1
end
function __vmnet_run_options
    not __vmnet_run_command > /dev/null
end
complete -c vmnet-run -n 'not __vmnet_run_options' -x -a '(__fish_complete_subcommand --commandline (__vmnet_run_command))'

complete -c vmnet-run -n __vmnet_run_options -l socket-type -x -a 'dgram stream' -d "type of the VM's socket"
complete -c vmnet-run -n __vmnet_run_options -s i -l interface-id -x -d "who this interface is"
complete -c vmnet-run -n __vmnet_run_options -l operation-mode -x -a 'shared bridged host' -d "kind of network"
complete -c vmnet-run -n __vmnet_run_options -l shared-interface -x -a '(eval (path dirname (path resolve (command -s vmnet-run)))/vmnet-helper --list-shared-interfaces 2> /dev/null)' -d "interface of the host to share"
complete -c vmnet-run -n __vmnet_run_options -l enable-tso -d "frames of up to 65550 bytes"
complete -c vmnet-run -n __vmnet_run_options -l enable-checksum-offload -d "let the VM leave checksums to the host"
complete -c vmnet-run -n __vmnet_run_options -l tap -d "give the VM the TAP device itself"
complete -c vmnet-run -n __vmnet_run_options -l enable-isolation -d "no other VM is reachable"
complete -c vmnet-run -n __vmnet_run_options -l start-address -x -d "gateway's IPv4 address"
complete -c vmnet-run -n __vmnet_run_options -l end-address -x -d "last IPv4 address that DHCP gives out"
complete -c vmnet-run -n __vmnet_run_options -l subnet-mask -x -d "mask of both"
complete -c vmnet-run -n __vmnet_run_options -l ip-address -x -d "VM's IPv4 address"
complete -c vmnet-run -n __vmnet_run_options -l dns -x -d "DNS server to tell the VM"
complete -c vmnet-run -n __vmnet_run_options -l network-id -x -d "a network of its own"
complete -c vmnet-run -n __vmnet_run_options -l host-ip-address -x -d "host's address in that network"
complete -c vmnet-run -n __vmnet_run_options -l host-subnet-mask -x -d "mask of that address"
complete -c vmnet-run -n __vmnet_run_options -l network -x -d "named network"
complete -c vmnet-run -n __vmnet_run_options -l stats-interval -x -d "log counters every so many seconds"
complete -c vmnet-run -n __vmnet_run_options -l capture -r -F -d "write the VM's frames to a file"
complete -c vmnet-run -n __vmnet_run_options -l capture-size -x -d "megabytes at which the capture ends"
complete -c vmnet-run -n __vmnet_run_options -s v -l verbose -d "log details too"
complete -c vmnet-run -n __vmnet_run_options -l version -d "print version and commit"
complete -c vmnet-run -n __vmnet_run_options -s h -l help -d "print help"
