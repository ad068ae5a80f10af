"""The command line: what is taken, what is refused, and what of it the helper gets."""

import re
import types

import pytest
from conftest import REPOSITORY
from vmtool import cli, logs, options
from vmtool.disk import parse_size
from vmtool.options import Options
from vmtool.report import Failure, complain

MACHINE = types.SimpleNamespace(interface_id=lambda: "the-vms-own")


def parse(*words):
    return cli.start_parser().parse_args(["vm", *words], namespace=Options())


def test_every_option_of_the_helper():
    """docs/integration.md has the helper's options; the tool takes all but those that it gives."""
    table = (REPOSITORY / "docs" / "integration.md").read_text()
    table = table[table.index("## Options of vmnet-helper"):table.index("What excludes what")]
    named = set(re.findall(r"^\|(?: `-\w`,)? `(--[a-z-]+)", table, re.M))
    own = {"--fd", "--socket", "--list-shared-interfaces", "--version", "--help", *options.OWN}
    assert named - own == {name for name, *_ in options.HANDED_DOWN}


def test_what_the_helper_gets(monkeypatch):
    monkeypatch.setattr(options.sys, "platform", "linux")
    assert parse().helper_options(MACHINE) == ["--interface-id=the-vms-own"]
    given = parse("--operation-mode", "host", "--enable-isolation", "--dns", "9.9.9.9", "--dns",
                  "8.8.8.8", "--interface-id=x", "--start-address=-1; reboot")
    assert given.helper_options(MACHINE) == [
        "--interface-id=x", "--operation-mode=host", "--enable-isolation",
        "--start-address=-1; reboot", "--dns=9.9.9.9", "--dns=8.8.8.8"]
    assert given.seed_dns() == []
    assert "--dns=9.9.9.9" in parse("--network=lab", "--dns=9.9.9.9").helper_options(MACHINE)


def test_a_file_is_meant_where_the_tool_was_started(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert f"--capture={tmp_path}/vm.pcapng" in parse("--capture", "vm.pcapng").helper_options(MACHINE)
    assert "--capture=/x/y" in parse("--capture=/x/y").helper_options(MACHINE)


def test_names_of_the_original_tool(monkeypatch):
    """Taken, and not in --help."""
    monkeypatch.setattr(options.sys, "platform", "linux")
    given = parse("--connection", "runner", "--dns-servers", "9.9.9.9,8.8.8.8", "--dns", "1.1.1.1", "--enable-offloading")
    assert given.connection == "run" and given.dns == ["9.9.9.9", "8.8.8.8", "1.1.1.1"]
    assert given.helper_options(MACHINE)[1:] == ["--enable-tso", "--enable-checksum-offload", "--dns=9.9.9.9",
                                                 "--dns=8.8.8.8", "--dns=1.1.1.1"]
    assert parse().dns == [], "what one command line says is not another's"
    told = cli.start_parser().format_help()
    assert "runner" not in told and "--dns-servers" not in told and "--enable-offloading" not in told


def test_address_is_the_helpers_where_it_answers_dhcp(monkeypatch):
    monkeypatch.setattr(options.sys, "platform", "linux")
    for words in ([], ["--network=lab"], ["--operation-mode=host"]):
        given = parse("--address=192.168.64.9/24", *words)
        assert "--ip-address=192.168.64.9" in given.helper_options(MACHINE) and given.static_address() is None
    given = parse("--address=192.0.2.9/24", "--operation-mode=bridged", "--shared-interface=br0")
    assert given.static_address() == "192.0.2.9/24"
    assert not any("--ip-address" in word for word in given.helper_options(MACHINE))
    monkeypatch.setattr(options.sys, "platform", "darwin")
    assert parse("--address=192.168.64.9").static_address() == "192.168.64.9"


@pytest.mark.parametrize("platform, words", [
    ("darwin", []), ("linux", ["--operation-mode=bridged", "--shared-interface=br0"]),
    ("linux", ["--operation-mode=host", "--network-id=x"])])
def test_dns_that_the_helper_cannot_tell(monkeypatch, platform, words):
    monkeypatch.setattr(options.sys, "platform", platform)
    given = parse("--dns=9.9.9.9", *words)
    assert given.seed_dns() == ["9.9.9.9"]
    assert not any("--dns" in word for word in given.helper_options(MACHINE))


@pytest.mark.parametrize("words", [
    ["--cpus", "0"], ["--cpus", "x"], ["--cpus", "513"], ["--memory", "1"], ["--memory", "lots"],
    ["--distro", "plan9"], ["--image", "a", "--distro", "debian"], ["--connection", "carrier-pigeon"],
    ["--user", "root; x"], ["--user", "-x"], ["--user", "Me"], ["--timeout", "0"], ["--driver", "xen"],
    ["--timeout", "9" * 400], ["--timeout", "²"], ["--cpus", "²"], ["--nonsense"], ["--oper", "host"], ["second"]])
def test_refused(words):
    with pytest.raises(Failure):
        parse(*words)


def test_sizes():
    assert parse("--memory", "2G").memory == parse("--memory", "2048").memory == 2048
    assert parse_size("20g", "") == 20 << 30 and parse_size("1TiB", "") == 1 << 40
    for text in ("", "0G", "20", "-1G", "1.5G", "1K", "G"):
        with pytest.raises(Failure):
            parse_size(text, "--disk-size")


def test_a_message_is_one_line(capsys):
    complain("a\nb\x1b[2Jc\td")
    assert capsys.readouterr().err == "example: a b [2Jc d\n"


def test_a_guests_console_cannot_drive_the_terminal():
    assert logs.readable("a\x1b]0;x\x07\r\nb\tc\xffé".encode()) == "a]0;x\nb\tcÿé"


def documented_commands():
    for page in (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))):
        for line in re.findall(r"^\./example (.*)$", page.read_text(), re.M):
            yield page.name, line.split("#")[0].split("|")[0].split()


@pytest.mark.parametrize("page, words", documented_commands())
def test_documented_command(page, words):
    """Every `./example ...` line of the docs is one that the tool takes."""
    if words[0] in cli.COMMANDS:
        cli.command_parser(words[0]).parse_args(words[1:])
    else:
        parse(*words[1:])
