"""The command line."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time

from . import ssh
from .address import parse_address
from .disk import parse_size
from .distributions import DISTRIBUTIONS
from .drivers import ACCELERATORS, ARCHITECTURES, DRIVERS, default_driver, host_arch
from .images import parse_checksum
from .logs import show_logs
from .machine import Machine, all_machines, check_name
from .network import CONNECTIONS
from .options import Options, add_helper_options, add_synonyms
from .process import send
from .report import TOOL, Failure, answer, complain, open_standard_streams, step
from .session import Session

COMMANDS = ("list", "ssh", "stop", "delete", "logs")
DESCRIPTION = f"""Creates the virtual machine NAME, or starts it when it is there, on vmnet-helper's
network. Ends with the line 'Virtual machine IP address: ...' and keeps the VM running until Control+C,
'{TOOL} stop NAME' or the VM's own shutdown."""
COMMANDS_HELP = f"""commands:
  {TOOL} list                              the VMs, their state and address
  {TOOL} ssh NAME [COMMAND...]             a shell in the VM
  {TOOL} stop NAME [--now]                 shut it down; --now: at once
  {TOOL} delete NAME                       remove the VM and its disk
  {TOOL} logs NAME [console|helper|driver] [--follow]

VMs and downloaded images are in ~/.vmnet-helper; VMNET_HOME names another place. VMNET_HELPER and
VMNET_RUN name the programs where they are not installed."""


def count(text: str) -> int:
    if not text.isdecimal() or len(text) > 3 or not 1 <= int(text) <= 512:
        raise argparse.ArgumentTypeError(f"'{text}': give a number from 1 to 512")
    return int(text)


def seconds(text: str) -> int:
    if not text.isdecimal() or not 1 <= len(text) <= 9 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}': give a number of seconds")
    return int(text)


def memory(text: str) -> int:
    """Megabytes of '2048' or '2G'."""
    size = parse_size(text if text[-1:].isalpha() else f"{text}M", "--memory") >> 20
    if size < 64:
        raise Failure(f"--memory {text}: at least 64M")
    return size


def disk_size(text: str) -> int:
    return parse_size(text, "--disk-size")


def static_address(text: str) -> str:
    parse_address(text)
    return text


def user_name(text: str) -> str:
    if not (text[:1].isalpha() or text[:1] == "_") or len(text) > 32 or \
            not all(c.isascii() and (c.islower() or c.isdigit() or c in "_-") for c in text):
        raise argparse.ArgumentTypeError(f"'{text}': not a user's name")
    return text


def connection_kind(text: str) -> str:
    return "run" if text == "runner" else text


class Parser(argparse.ArgumentParser):
    """Errors as the rest of the tool says them: one line, status 1."""

    def error(self, message: str):
        raise Failure(f"{message}; see {TOOL} --help")


def start_parser() -> Parser:
    parser = Parser(prog=TOOL, description=DESCRIPTION, epilog=COMMANDS_HELP,
                    formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("name", metavar="NAME")
    made = parser.add_argument_group("the VM, when it is created")
    image = made.add_mutually_exclusive_group()
    image.add_argument("--distro", choices=sorted(DISTRIBUTIONS), help="default: debian")
    image.add_argument("--image", metavar="PATH|URL", help="a qcow2 or raw image, with cloud-init for "
                       "ssh to work")
    made.add_argument("--checksum", type=parse_checksum, metavar="sha256:HEX", help="of the image; --distro has the "
                      "distributor's")
    made.add_argument("--arch", choices=ARCHITECTURES,
                      help=f"default: {host_arch.name()}, this machine's; others are emulated")
    made.add_argument("--firmware", choices=("auto", "bios", "uefi"),
                      help="QEMU's; auto, the default: UEFI where the image or the architecture needs it")
    kept = parser.add_argument_group("the VM, kept until given again")
    kept.add_argument("--driver", choices=sorted(DRIVERS), help=f"default: {default_driver()}")
    kept.add_argument("--cpus", type=count, metavar="N", help="default: 2")
    kept.add_argument("--memory", type=memory, metavar="SIZE", help="default: 2G")
    kept.add_argument("--disk-size", type=disk_size, metavar="SIZE", help="default: 20G; a disk only grows")
    kept.add_argument("--user", type=user_name, metavar="NAME", help="default: the distribution's own, "
                      "or vm")
    kept.add_argument("--ssh-key", metavar="FILE.pub", help="default: one is made for the VM")
    this = parser.add_argument_group("this start")
    this.add_argument("--connection", type=connection_kind, choices=CONNECTIONS, default="fd",
                      help="fd: a socketpair; socket: a socket of a name; run: vmnet-run; tap: "
                      "vmnet-run and the TAP itself (Linux). Default: %(default)s")
    this.add_argument("--accel", choices=ACCELERATORS, default="auto",
                      help="QEMU's: KVM, or by emulation (tcg). auto, the default: KVM where it works; a VM that says "
                      "nothing on it for 20 s is started again by emulation")
    this.add_argument("--driver-command", metavar="PROGRAM", help="in place of the driver's own program")
    this.add_argument("--address", type=static_address, metavar="ADDR[/PREFIX]",
                      help="the VM's address: where the helper answers DHCP as --ip-address, else a static one")
    this.add_argument("--timeout", type=seconds, metavar="SECONDS", help="how long to wait for the VM")
    add_helper_options(parser.add_argument_group("vmnet-helper, this start (vmnet-helper --help)"))
    add_synonyms(parser)
    return parser


def start(words: list[str]) -> int:
    arguments = start_parser().parse_args(words, namespace=Options())
    check_name(arguments.name)
    if arguments.name in COMMANDS:
        raise Failure(f"name '{arguments.name}': a command of this tool")
    if arguments.ssh_key:
        arguments.ssh_key = os.path.abspath(os.path.expanduser(arguments.ssh_key))
    machine = Machine(arguments.name).whole()
    if not machine.exists() and arguments.driver is None:
        arguments.driver = default_driver()
    return Session(machine, arguments).run()


def state_of(machine: Machine) -> tuple[str, str]:
    """Its state in a word or two, and its address."""
    running = machine.is_running()
    if machine.damaged:
        return "damaged", "-"
    if not machine.exists():
        return ("creating" if running else "incomplete"), "-"
    if not running:
        return ("left over" if machine.left_running() else "stopped"), "-"
    address = machine.run_state().get("address")
    return ("running", address) if address else ("starting", "-")


def list_machines() -> int:
    rows = [("NAME", "STATE", "DRIVER", "ADDRESS", "MADE OF")]
    for machine in all_machines():
        state, address = state_of(machine)
        rows.append((machine.name, state, machine.settings.get("driver", "-"), address,
                     machine.settings.get("source", "-")))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        answer("  ".join([*(f"{text:{width}}" for text, width in zip(row, widths)), row[-1]]) + "\n")
    return 0


def stop(name: str, now: bool) -> int:
    """Asks the run to end and waits for it. Where it was killed, ends what it left."""
    machine = Machine(name).require()
    if not machine.is_running():
        if machine.take():
            left = machine.clean_after_crash()
            machine.release()
            step(f"Stopped {name}" if left else f"{name} is not running")
            return 0
    pid = machine.run_state().get("run")
    if not pid:
        raise Failure(f"{name} is just being started; try again")
    send(pid, signal.SIGTERM)
    if now:
        time.sleep(0.5)  # two signals at once are one
        send(pid, signal.SIGTERM)
    deadline = time.monotonic() + 120
    while machine.is_running():
        if time.monotonic() > deadline:
            raise Failure(f"{name} did not stop; '{TOOL} stop {name} --now'")
        time.sleep(0.1)
    step(f"Stopped {name}")
    return 0


def delete(name: str) -> int:
    machine = Machine(name).require()
    if not machine.take():
        raise Failure(f"{name} is running: '{TOOL} stop {name}' first")
    machine.clean_after_crash()
    machine.delete(wholly=True)
    machine.release()
    step(f"Deleted {name}")
    return 0


def command_parser(command: str) -> Parser:
    parser = Parser(prog=f"{TOOL} {command}", allow_abbrev=False)
    if command != "list":
        parser.add_argument("name", metavar="NAME")
    if command == "ssh":
        parser.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    if command == "stop":
        parser.add_argument("--now", action="store_true", help="do not wait for the guest")
    if command == "logs":
        parser.add_argument("which", nargs="?", choices=("console", "helper", "driver"))
        parser.add_argument("--follow", "-f", action="store_true")
    return parser


def command(name: str, words: list[str]) -> int:
    arguments = command_parser(name).parse_args(words)
    if name == "list":
        return list_machines()
    if name == "ssh":
        return ssh.connect(Machine(arguments.name).require().whole(), arguments.words)
    if name == "stop":
        return stop(arguments.name, arguments.now)
    if name == "delete":
        return delete(arguments.name)
    return show_logs(Machine(arguments.name).require(), arguments.which, arguments.follow)


def main() -> int:
    words = sys.argv[1:]
    open_standard_streams()
    try:
        if sys.version_info < (3, 9):
            raise Failure("Python 3.9 or newer is needed")
        if not words:
            start_parser().print_help(sys.stderr)
            return 1
        if words[0] in COMMANDS:
            return command(words[0], words[1:])
        return start(words)
    except Failure as failure:
        complain(str(failure))
        return 1
    except BrokenPipeError:
        return 1
    except OSError as error:
        complain(f"{error.filename or 'the system'}: {error.strerror or error}")
        return 1
