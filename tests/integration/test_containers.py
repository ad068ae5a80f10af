"""What a container is like: a /proc/sys that cannot be written, a user namespace without groups."""

import pytest

from support.guest import Guest
from support.helper import Helper, run_to_end
from support.lab import INTERNET, run

READ_ONLY = 'mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys && exec "$@"'
GATEWAY = "192.168.64.1"


@pytest.fixture
def container(host):
    """The host as helpers see it that cannot change any setting of the kernel."""

    class Container:
        descriptor = host.descriptor

        @staticmethod
        def prefix(user=None):
            return [*host.prefix(user), "sh", "-c", READ_ONLY, "sh"]

    return Container


def guest_of(helper):
    guest = Guest(helper.vm, helper.json["vmnet_mac_address"])
    guest.dhcp()
    return guest


ISOLATED = pytest.mark.parametrize("options", [(), ("--enable-isolation",)], ids=["open", "isolated"])


@ISOLATED
def test_the_host_alone_where_nothing_can_be_set(container, options):
    with Helper(container, *options) as helper:
        guest = guest_of(helper)
        guest.ping(GATEWAY)
        with pytest.raises(AssertionError):
            guest.ping(INTERNET.web, timeout=0.7)
        assert "vmnet_nat66_prefix" not in helper.json
        helper.stop()
        told = helper.log_lines("WARN")
        assert any("no IPv6" in line and "EROFS" in line for line in told)
        assert any("do not reach the uplink" in line for line in told)
        assert not helper.log_lines("ERROR")


@ISOLATED
def test_forwarding_that_the_container_was_given(host, container, options):
    host.sysctl(net__ipv4__ip_forward=1)
    with Helper(container, *options) as helper:
        guest = guest_of(helper)
        guest.ping(INTERNET.web)
        helper.stop()
        assert all("no IPv6" in line for line in helper.log_lines("WARN"))
    host.sysctl(net__ipv4__ip_forward=0)


@ISOLATED
def test_ipv6_that_the_container_was_given(host, container, options):
    """docs/containers.md's settings."""
    host.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1,
                net__ipv6__conf__default__accept_ra=0)
    with Helper(container, *options) as helper:
        guest = guest_of(helper)
        guest.ping6(INTERNET.web6, guest.autoconfigure().src)
        helper.stop()
        assert not helper.log_lines("WARN", "ERROR")
    host.sysctl(net__ipv4__ip_forward=0, net__ipv6__conf__all__forwarding=0,
                net__ipv6__conf__default__accept_ra=1)


def test_host_mode_needs_no_setting(container):
    with Helper(container, "--operation-mode=host") as helper:
        guest_of(helper).ping("192.168.128.1")
        helper.stop()
        assert not helper.log_lines("WARN", "ERROR")


def test_a_user_namespace_without_groups_is_named(host):
    """Root in it has CAP_SETGID, which helps nobody."""

    class Denied:
        descriptor = host.descriptor

        @staticmethod
        def prefix(user=None):
            return [*host.prefix(), "unshare", "--user", "--map-root-user", "--net"]

    if run(*Denied.prefix(), "grep", "-q", "deny", "/proc/self/setgroups", check=False).returncode != 0:
        pytest.skip("no user namespaces here")
    status, out, err = run_to_end(Denied)
    assert (status, out) == (1, "") and "/proc/self/setgroups says deny" in err
    assert "CAP_SETGID" not in err
