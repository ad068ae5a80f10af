"""The docs: links lead somewhere, options are described everywhere, the commands that can be typed in the
lab are typed."""

import re
import shutil

import pytest
from scapy.layers.inet import IP, TCP

from support import docs
from support.demo import fetch, need, ping, resolve, take_lease
from support.helper import wait_for_no_helper
from support.installation import BUILD
from support.snapshot import wait_until
from support.lab import INTERNET, REPOSITORY, UPLINK, UPLINK_ADDRESS, WORK, reaches, run
from support.vm import Machine, VirtualMachine

OPTION = re.compile(r"--[a-z][a-z0-9-]+")
PAGES = [pytest.param(page, id=str(page.relative_to(REPOSITORY))) for page in docs.pages()]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    dead = []
    for link in docs.LINK.findall(docs.prose(page)):
        path, _, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            dead.append(link)
        elif anchor and target.suffix == ".md" and anchor not in docs.anchors(target):
            dead.append(f"{link} (no such heading)")
    assert not dead


def test_every_page_is_reached_from_the_readme():
    """By links, from page to page."""
    reached, waiting = set(), [REPOSITORY / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        for link in docs.LINK.findall(docs.prose(page)):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target.suffix == ".md" and target.is_file() and target not in reached:
                waiting.append(target)
    assert set(docs.pages()) <= reached


def test_a_block_of_a_test_is_named_once():
    for page in docs.pages():
        names = [block.name for block in docs.blocks(page) if block.name]
        assert len(names) == len(set(names)), page
        assert docs.read(page).count("<!-- test:") == len(names), f"{page}: a mark before no block"


def options_of(program):
    return set(OPTION.findall(run(BUILD / program, "--help").stdout))


def test_a_command_that_wants_descriptor_3(host):
    text = docs.block("tutorials/moving-from-socket_vmnet.md", "descriptor")
    done = run(*host.prefix(), "/bin/sh", "-c", text)
    assert done.stdout.splitlines()[-1] == "True"


def test_every_option_is_described_everywhere():
    helper, runner = options_of("vmnet-helper"), options_of("vmnet-run")
    assert "--dns" in helper and "--interface-id" in runner
    described = {
        "docs/integration.md": helper | runner,
        "packaging/man/vmnet-helper.8": helper,
        "packaging/completion/vmnet-helper.bash": helper,
        "packaging/completion/_vmnet-helper": helper,
        "packaging/completion/vmnet-run.bash": runner,
        "packaging/completion/_vmnet-run": runner,
    }
    for path, options in described.items():
        text = (REPOSITORY / path).read_text().replace("\\-", "-")
        assert not options - set(OPTION.findall(text)), path
    for program, options in (("vmnet-helper", helper), ("vmnet-run", runner)):
        text = (REPOSITORY / f"packaging/completion/{program}.fish").read_text()
        assert not {name for name in options if f" -l {name[2:]} " not in text}


def test_no_option_is_described_that_is_not_there():
    """In the completions, which name nothing else."""
    for program in ("vmnet-helper", "vmnet-run"):
        for path in (f"{program}.bash", f"_{program}"):
            text = (REPOSITORY / "packaging/completion" / path).read_text()
            named = set(OPTION.findall(text)) - {"--fcs-skip"}
            if program == "vmnet-run":
                named -= {"--list-shared-interfaces"}  # asked of the helper
            assert not named - options_of(program), path


class TypedVm(VirtualMachine):
    """A VM that is started by a page's command line."""

    def __init__(self, host, text):
        Machine.__init__(self, [*host.prefix("alice"), "bash", "-euc", text])
        self.json = None


@pytest.mark.real_vm
def test_tutorial_of_qemu(host):
    """The page's command line, with the lab's small system in place of the drives."""
    text = docs.block("tutorials/qemu-linux.md", "run")
    drives = "-drive file=disk.qcow2,if=virtio -drive file=seed.iso,if=virtio,format=raw"
    assert drives in text and "-nographic" in text
    image = WORK / "vm"
    text = text.replace(drives, f"-kernel {image}/kernel -initrd {image}/initramfs "
                                "-append 'console=ttyS0 quiet panic=-1' -no-reboot")
    text = text.replace("-nographic", "-display none -nodefaults -serial stdio")
    text = text.replace("-accel kvm -accel tcg", "-accel tcg -cpu max")
    with TypedVm(host, text) as vm:
        vm.booted()
        address = vm.interface()["ip_address"]
        take_lease(vm)
        assert address in need(vm.run("ip address show eth0"))
        ping(vm, "192.168.64.1")
        resolve(vm)
        fetch(vm, f"http://{INTERNET.name}/", UPLINK_ADDRESS)
        assert vm.poweroff() == 0
    assert wait_for_no_helper()


def test_port_published_by_dnat(host, plug, lab):
    """linux.md: from outside to a VM, by the page's table."""
    guest = plug("--interface-id", "2f8d5b1c-95a0-4a52-a1f2-0123456789ab")
    guest.dhcp()
    block = docs.block("linux.md", "publish")
    assert "192.168.64.16:80" in block  # what the page's user has
    host.run("bash", "-euc", block.replace("192.168.64.16", guest.ip))
    peer = lab.internet.start("python3", "-c", "import socket; s = socket.socket(); s.settimeout(5); "
                              "s.connect_ex(('192.0.2.2', 8080))")
    syn = guest.expect(lambda p: TCP in p and p[TCP].flags == "S", 3, "the SYN of the uplink's peer")
    assert syn[TCP].dport == 80 and syn[IP].src == INTERNET.router
    peer.kill()
    peer.wait()
    host.run("nft", "delete", "table", "ip", "publish_vm")
    assert UPLINK in docs.block("linux.md", "publish")


def forward_policy_drop(host):
    """A firewall as many hosts have it."""
    host.nft("table inet filter { chain forward { type filter hook forward priority 0; policy drop; }; }")


def test_rules_for_a_firewall_of_nftables(host, plug):
    """linux.md's table: cut off before, through after, and only as much as it says."""
    forward_policy_drop(host)
    guest = plug()
    assert wait_until(lambda: [line for line in guest.helper.log_lines("WARN") if "forward" in line])
    guest.dhcp()
    with pytest.raises(AssertionError):
        guest.ping(INTERNET.web, timeout=1)
    host.run("bash", "-euc", docs.block("linux.md", "nftables-firewall"))
    guest.ping(INTERNET.web)
    host.nft("delete table inet filter")


NEEDS_IPTABLES = pytest.mark.skipif(not shutil.which("iptables-nft"), reason="no iptables here")


def docker_comes(host):
    """What Docker does to the filter table when its daemon starts (its manual, "Packet filtering and
    firewalls"): policy drop, its chains, the user's chain first."""
    for words in (("-N", "DOCKER-USER"), ("-A", "DOCKER-USER", "-j", "RETURN"),
                  ("-I", "FORWARD", "-j", "DOCKER-USER"), ("-P", "FORWARD", "DROP")):
        for program in ("iptables", "ip6tables"):
            host.run(program, *words)


def docker_goes(host):
    for family in ("ip", "ip6"):
        host.run("nft", "delete", "table", family, "filter", check=False)


@NEEDS_IPTABLES
def test_docker_that_starts_after_the_helper(host, plug):
    guest = plug()
    guest.dhcp()
    guest.ping(INTERNET.web)
    docker_comes(host)
    with pytest.raises(AssertionError):
        guest.ping(INTERNET.web, timeout=1)
    host.run("bash", "-euc", docs.block("linux.md", "docker"))
    guest.ping(INTERNET.web)
    docker_goes(host)


@NEEDS_IPTABLES
def test_docker_that_was_there_first(host, plug):
    docker_comes(host)
    guest = plug()
    assert wait_until(lambda: [line for line in guest.helper.log_lines("WARN") if "DOCKER-USER" in line])
    guest.dhcp()
    host.run("bash", "-euc", docs.block("linux.md", "docker"))
    guest.ping(INTERNET.web)
    docker_goes(host)


@pytest.fixture
def containers(lab, host):
    """A network of the host's, as Docker's is, that the internet knows the way to."""
    made = lab.namespace("containers")
    host.ip("link add docker0 type veth peer name eth0 netns containers",
            "addr add 172.17.0.1/24 dev docker0", "link set docker0 up")
    made.ip("addr add 172.17.0.2/24 dev eth0", "link set eth0 up", "route add default via 172.17.0.1")
    lab.internet.ip(f"route replace 172.17.0.0/24 via {UPLINK_ADDRESS}")
    yield "172.17.0.2"
    lab.internet.ip("route del 172.17.0.0/24")
    host.ip("link del docker0")


@pytest.mark.parametrize("first", ["forwarding", "helper"])
def test_docker_switches_forwarding_on(lab, host, start, containers, first):
    """linux.md: whichever comes first, the uplink is not guarded, and forwarding stays on at the end."""
    if first == "forwarding":
        host.sysctl(net__ipv4__ip_forward=1)
    helper = start()
    if first == "helper":
        assert not reaches(lab.internet, containers)
        host.sysctl(net__ipv4__ip_forward=1)
    assert wait_until(lambda: reaches(lab.internet, containers), 5)
    helper.stop()
    assert reaches(lab.internet, containers)
    host.sysctl(net__ipv4__ip_forward=0)
