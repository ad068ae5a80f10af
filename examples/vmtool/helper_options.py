"""The options of vmnet-run, made by packaging/make_texts.py from src/helper/option_table.cc; change that."""


# Name, value's name (none: a flag), whether it may be given again, what it is.
HELPER_OPTIONS = (
    ("--socket-type", "TYPE", False, "type of the VM's socket"),
    ("--interface-id", "UUID", False, "who this interface is"),
    ("--operation-mode", "MODE", False, "kind of network"),
    ("--shared-interface", "NAME", False, "interface of the host to share"),
    ("--enable-tso", "", False, "frames of up to 65550 bytes"),
    ("--enable-checksum-offload", "", False, "let the VM leave checksums to the host"),
    ("--tap", "", False, "give the VM the TAP device itself"),
    ("--enable-isolation", "", False, "no other VM is reachable"),
    ("--start-address", "ADDR", False, "gateway's IPv4 address"),
    ("--end-address", "ADDR", False, "last IPv4 address that DHCP gives out"),
    ("--subnet-mask", "MASK", False, "mask of both"),
    ("--ip-address", "ADDR", False, "VM's IPv4 address"),
    ("--dns", "ADDR", True, "DNS server to tell the VM"),
    ("--network-id", "UUID", False, "a network of its own"),
    ("--host-ip-address", "ADDR", False, "host's address in that network"),
    ("--host-subnet-mask", "MASK", False, "mask of that address"),
    ("--network", "NAME", False, "named network"),
    ("--stats-interval", "SECONDS", False, "log counters every so many seconds"),
    ("--capture", "FILE", False, "write the VM's frames to a file"),
    ("--capture-size", "MB", False, "megabytes at which the capture ends"),
    ("--verbose", "", False, "log details too"),
)
