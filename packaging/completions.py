"""The completions of vmnet-helper and vmnet-run for bash, zsh and fish, for make_texts.py."""

import textwrap

BASH_HELPER = """\
# Completion of vmnet-helper for bash, MADE.

_vmnet_helper_options='OPTIONS'

_vmnet_helper() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} helper=$1
  # bash takes OPTION=VALUE for three words.
  [[ $word == = ]] && word=
  [[ $before == = ]] && before=${COMP_WORDS[COMP_CWORD - 2]}
VALUES
}

complete -F _vmnet_helper vmnet-helper
"""

BASH_RUN = """\
# Completion of vmnet-run for bash: its options, then those of the command. MADE.

_vmnet_run_options='OPTIONS'

# The place of the command: after --, or the first word that is no option and no option's value.
_vmnet_run_command() {
  local i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      --) echo $((i + 1)) && return ;;
      WITH_VALUE)
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
VALUES
}

complete -F _vmnet_run vmnet-run
"""

ZSH_HELPER = """\
#compdef vmnet-helper

# Completion of vmnet-helper for zsh, MADE.

_vmnet_interfaces() {
  local -a names
  names=(${(f)"$(${commands[$service]:-$service} --list-shared-interfaces 2> /dev/null)"})
  _describe 'interface' names
}

_arguments -s -S \\
"""

ZSH_RUN = """\
#compdef vmnet-run

# Completion of vmnet-run for zsh, MADE.

_vmnet_interfaces() {
  local -a names
  local program=${commands[$service]:-$service}
  names=(${(f)"$(${program:A:h}/vmnet-helper --list-shared-interfaces 2> /dev/null)"})
  _describe 'interface' names
}

_arguments -s -S \\
"""
ZSH_COMMAND = ["'(-)1:command: _command_names -e'", "'*::arguments:_normal'"]

FISH_HELPER = """\
# Completion of vmnet-helper for fish, MADE.

complete -c vmnet-helper -f
"""

FISH_RUN = """\
# Completion of vmnet-run for fish, MADE.

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
            string join \\n -- $words[(math $i + 1)..]
            return 0
        else if contains -- "$words[$i]" WITH_VALUE
            set value yes
        else if not string match -q -- '-*' "$words[$i]"
            string join \\n -- $words[$i..]
            return 0
        end
    end
    return 1
end
function __vmnet_run_options
    not __vmnet_run_command > /dev/null
end
complete -c vmnet-run -n 'not __vmnet_run_options' -x -a '(__fish_complete_subcommand --commandline (__vmnet_run_command))'

"""


def names(row):
    """As typed, long first."""
    return [f"--{row['name']}"] + ([f"-{row['letter']}"] if row["letter"] else [])


def names_with_value(rows):
    return [name for row in rows if row["value"] for name in names(row)]


def folded(words, indent):
    return textwrap.fill(" ".join(words), 96, subsequent_indent=indent, break_long_words=False,
                         break_on_hyphens=False)


def bash_values(rows, options):
    """What is offered, by the word before."""
    def offer(pattern, how):
        return f'    {pattern}) mapfile -t COMPREPLY < <(compgen {how} -- "$word") ;;'

    lines = ["  case $before in"]
    for row in rows:
        pattern = " | ".join(names(row))
        if row["kind"] == "choice":
            lines.append(offer(pattern, f"-W '{row['choices']}'"))
        elif row["kind"] == "file":
            lines.append(offer(pattern, "-f"))
        elif row["kind"] == "shared interface":
            lines.append(offer(pattern, '-W "$("$helper" --list-shared-interfaces 2> /dev/null)"'))
    texts = " | ".join(names_with_value([row for row in rows if row["kind"] == "text"]))
    wrapped = textwrap.wrap(texts, 90, break_on_hyphens=False)
    lines.append("    " + " \\\n      ".join(wrapped) + ") ;;")
    lines += [offer("*", f'-W "${options}"'), "  esac"]
    return "\n".join(lines)


def bash(template, rows, options, made):
    words = [f"--{row['name']}" for row in rows] + (["--"] if "run" in options else [])
    return (template.replace("MADE", made).replace("'OPTIONS'", f"'{folded(words, '  ')}'")
            .replace("WITH_VALUE", " | ".join(names_with_value(rows)))
            .replace("VALUES", bash_values(rows, options)))


def zsh_argument(row):
    long, *short = names(row)
    value = row["value"]
    if short:
        form = f"'({short[0]} {long})'{{{short[0]}{'+' * bool(value)},{long}{'=' * bool(value)}}}'"
    else:
        form = f"'{'*' * row['repeatable']}{long}{'=' * bool(value)}"
    action = {"text": " ", "file": "_files", "shared interface": "_vmnet_interfaces",
              "choice": f"({row['choices']})"}
    ending = f":{value}:{action[row['kind']]}" if value else ""
    summary = row["summary"].replace("'", "'\\''")
    return f"{form}[{summary}]{ending}'"


def zsh(template, rows, tail, made):
    arguments = [zsh_argument(row) for row in rows] + tail
    return template.replace("MADE", made) + " \\\n".join(f"  {argument}" for argument in arguments) + "\n"


def fish(template, program, rows, interfaces, made):
    condition = " -n __vmnet_run_options" if program == "vmnet-run" else ""
    text = (template.replace("MADE", made)
            .replace("WITH_VALUE", " ".join(names_with_value(rows))))
    for row in rows:
        kind = {"none": "", "text": " -x", "file": " -r -F", "shared interface": f" -x -a '{interfaces}'",
                "choice": f" -x -a '{row['choices']}'"}[row["kind"]]
        letter = f" -s {row['letter']}" if row["letter"] else ""
        text += f"complete -c {program}{condition}{letter} -l {row['name']}{kind} -d \"{row['summary']}\"\n"
    return text


def files(helper_rows, run_rows, made):
    """Names and texts."""
    listed = "--list-shared-interfaces 2> /dev/null)"
    beside = "(path dirname (path resolve (command -s vmnet-run)))"
    yield "vmnet-helper.bash", bash(BASH_HELPER, helper_rows, "_vmnet_helper_options", made)
    yield "vmnet-run.bash", bash(BASH_RUN, run_rows, "_vmnet_run_options", made)
    yield "_vmnet-helper", zsh(ZSH_HELPER, helper_rows, [], made)
    yield "_vmnet-run", zsh(ZSH_RUN, run_rows, ZSH_COMMAND, made)
    yield "vmnet-helper.fish", fish(FISH_HELPER, "vmnet-helper", helper_rows, f"(vmnet-helper {listed}", made)
    yield "vmnet-run.fish", fish(FISH_RUN, "vmnet-run", run_rows, f"(eval {beside}/vmnet-helper {listed}", made)
