"""Completion: what bash offers at each place, and that zsh and fish can read theirs."""

import pathlib
import shutil

import pytest

from support.installation import PREFIX
from support.lab import REPOSITORY, run

FOLDER = REPOSITORY / "packaging" / "completion"
BASH_COMPLETION = pathlib.Path("/usr/share/bash-completion/bash_completion")


def offered(*words, with_library=False):
    """What bash offers for the last of `words`; with_library: where bash-completion is loaded."""
    program = words[0]
    quoted = " ".join(f"'{word}'" for word in words)
    library = f"source {BASH_COMPLETION}; " if with_library else ""
    script = (f"{library}source {FOLDER}/{program}.bash; PATH={PREFIX}/bin:$PATH; "
              f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; COMP_LINE=\"{' '.join(words)}\"; "
              "COMP_POINT=${#COMP_LINE}; "
              f"$(complete -p {program} | sed 's/.*-F \\([^ ]*\\) .*/\\1/') {program} '{words[-1]}' "
              f"'{words[-2]}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
    return run("bash", "--norc", "-c", script).stdout.split()


@pytest.mark.parametrize("program", ["vmnet-helper", "vmnet-run"])
def test_options(session_lab, program):
    assert offered(program, "--op") == ["--operation-mode"]
    assert offered(program, "--operation-mode", "") == ["shared", "bridged", "host"]
    assert offered(program, "--interface-id", "") == []
    assert {"--dns", "--enable-tso", "--version"} <= set(offered(program, "-"))


def test_a_value_after_an_equals_sign(session_lab):
    """Which bash takes for a word of its own."""
    for program in ("vmnet-helper", "vmnet-run"):
        assert offered(program, "--operation-mode", "=", "ho") == ["host"]
        assert offered(program, "--operation-mode", "=") == ["shared", "bridged", "host"]


def test_run_completes_the_command_without_dashes(session_lab):
    assert "true" in offered("vmnet-run", "tru")
    assert "true" in offered("vmnet-run", "-v", "--dns", "192.0.2.1", "--network", "=", "x", "tru")
    assert "--operation-mode" not in offered("vmnet-run", "--enable-tso", "env", "--op")
    assert offered("vmnet-run", "--dns", "192.0.2.1", "--op") == ["--operation-mode"]


def test_run_completes_the_command_after_the_dashes(session_lab):
    assert "--" in offered("vmnet-run", "-")
    assert "true" in offered("vmnet-run", "--enable-isolation", "--", "tru")
    assert "--operation-mode" not in offered("vmnet-run", "--", "env", "--op")


@pytest.mark.skipif(not BASH_COMPLETION.exists(), reason="no bash-completion here")
def test_run_completes_the_commands_own_options(session_lab):
    assert "--size" in offered("vmnet-run", "--dns", "192.0.2.1", "--", "ls", "--si", with_library=True)
    assert "true" in offered("vmnet-run", "--", "tru", with_library=True)
    assert offered("vmnet-run", "--op", with_library=True) == ["--operation-mode"]


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh here")
@pytest.mark.parametrize("name", ["_vmnet-helper", "_vmnet-run"])
def test_zsh_reads_it(name):
    run("zsh", "--no-rcs", "--no-exec", FOLDER / name)
    script = (f"fpath=({FOLDER} $fpath); autoload -Uz compinit && compinit -u -D; "
              f"print $_comps[{name[1:]}]; autoload +X {name}")
    assert run("zsh", "--no-rcs", "-c", script).stdout == f"{name}\n"


@pytest.mark.skipif(not shutil.which("fish"), reason="no fish here")
@pytest.mark.parametrize("name, line, wanted", [
    ("vmnet-helper", "vmnet-helper --op", "--operation-mode"),
    ("vmnet-helper", "vmnet-helper --operation-mode ", "bridged"),
    ("vmnet-run", "vmnet-run --op", "--operation-mode"),
    ("vmnet-run", "vmnet-run -- tru", "truncate"),
    ("vmnet-run", "vmnet-run --dns 192.0.2.1 tru", "truncate"),
    ("vmnet-run", "vmnet-run --dns=192.0.2.1 --op", "--operation-mode"),
    ("vmnet-run", "vmnet-run --dns 192.0.2.1 --enable-tso -- tru", "truncate")])
def test_fish(name, line, wanted):
    script = f"source {FOLDER}/{name}.fish; complete --do-complete '{line}'"
    told = run("fish", "--no-config", "-c", script).stdout
    assert wanted in told, told
