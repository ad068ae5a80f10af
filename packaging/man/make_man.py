#!/usr/bin/python3
"""Makes the man pages from docs/integration.md, the one description of the two programs.

    make_man.py          writes vmnet-helper.8 and vmnet-run.1 beside this file
    make_man.py --check  exit status 1 where they are not what it would write

It knows the Markdown that integration.md uses: headings, paragraphs, lists, tables, fenced code,
inline code, emphasis, links.
"""

import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parent.parent / "docs" / "integration.md"

HELPER_HEAD = r"""
.SH NAME
vmnet-helper \- give a virtual machine a network interface
.SH SYNOPSIS
.B vmnet-helper
.RB ( \-\-fd
.I FD
|
.B \-\-socket
.IR PATH )
.RI [ OPTION ]...
.br
.B vmnet-helper
.B \-\-list-shared-interfaces
|
.B \-\-version
|
.B \-\-help
.SH DESCRIPTION
Gives a virtual machine a network interface of the host. Makes it with privilege, drops the privilege
for good, prints one line of JSON and carries Ethernet frames between the VM's Unix socket
and the interface. Ends on SIGTERM, SIGINT or when the VM has gone, and leaves nothing behind.
"""
# What is between two @ is filled in at installation (cmake/install.cmake).
HELPER_TAIL = r"""
.SH FILES
.TP
.I @VMNET_BIN@/vmnet-helper
This program.
.SH SEE ALSO
.BR vmnet-run (1),
.BR sudo (8),
.BR ip-link (8),
.BR nft (8)
"""
RUN_HEAD = r"""
.SH NAME
vmnet-run \- run a virtual machine with a network interface
.SH SYNOPSIS
.B vmnet-run
.RI [ OPTION "]... [\-\-] " COMMAND " [" ARG ]...
.SH DESCRIPTION
"""
RUN_TAIL = r"""
.SH EXAMPLES
.EX
vmnet-run \-\- qemu-system-x86_64 \-m 1G disk.img \e
  \-netdev dgram,id=net0,local.type=fd,local.str=4 \e
  \-device virtio-net-pci,netdev=net0,mac=52:54:00:5c:0d:01
.EE
.SH FILES
.TP
.I @VMNET_BIN@/vmnet-helper
The helper that it starts.
.SH SEE ALSO
.BR vmnet-helper (8)
"""
# Sections of integration.md, by heading, and what they are called in a man page.
HELPER_SECTIONS = [("Starting it", "PRIVILEGE"), ("Options of vmnet-helper", "OPTIONS"),
                   ("Standard output", "OUTPUT"), ("The VM's socket", "SOCKETS"),
                   ("End and exit status", "EXIT STATUS"), ("Standard error", "LOG")]
RUN_SECTIONS = [("vmnet-run", None)]


def escape(text):
    """What troff would take for its own."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def inline(text):
    """Inline Markdown as troff fonts."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
    parts = re.split(r"(`[^`]*`|\*\*[^*]*\*\*|\*[^*]*\*)", text)
    out = []
    for part in parts:
        if part.startswith("`"):
            out.append("\\fB" + escape(part.strip("`")) + "\\fR")
        elif part.startswith("*"):
            out.append("\\fI" + escape(part.strip("*")) + "\\fR")
        else:
            out.append(escape(part))
    return "".join(out)


def table(lines):
    """A list: the first column is the tag, the others are its text."""
    rows = [[cell.strip() for cell in line.strip("| \n").split(" | ")] for line in lines]
    head, out = rows[0], []
    for row in rows[2:]:
        text = inline(row[1]) if len(row) > 1 else ""
        note = row[2].rstrip(" |") if len(row) > 2 else ""
        if note:
            label = {"default": "Default", "there": "There"}.get(head[2], head[2])
            text += f" ({label}: {inline(note)})" if text else inline(note)
        out.append(f".TP\n{inline(row[0].rstrip(' |'))}\n{text.strip() or chr(92) + '&'}")
    return "\n".join(out) + "\n.PP"


def blocks(lines):
    """(kind, lines) of the Markdown: code, table, item, heading, text."""
    index = 0
    while index < len(lines):
        line = lines[index]
        start = index
        if line.startswith("```"):
            index += 1
            while not lines[index].startswith("```"):
                index += 1
            yield "code", lines[start + 1:index]
            index += 1
        elif line.startswith("|"):
            while index < len(lines) and lines[index].startswith("|"):
                index += 1
            yield "table", lines[start:index]
        elif re.match(r"(- |\d+\. )", line):
            index += 1
            while index < len(lines) and lines[index].startswith("  "):
                index += 1
            yield "item", lines[start:index]
        elif line.startswith("### "):
            yield "heading", [line[4:]]
            index += 1
        elif line.strip():
            while index < len(lines) and lines[index].strip() and \
                    not re.match(r"(```|\||- |### )", lines[index]):
                index += 1
            yield "text", lines[start:index]
        else:
            index += 1


def render(text):
    out = []
    for kind, lines in blocks(text.splitlines()):
        joined = " ".join(line.strip() for line in lines)
        if kind == "code":
            out.append(".PP\n.EX\n" + escape("\n".join(lines)) + "\n.EE")
        elif kind == "table":
            out.append(table(lines))
        elif kind == "item":
            mark, body = re.match(r"(-|\d+\.) (.*)", joined).groups()
            out.append(f".IP {chr(92)}(bu 2\n{inline(body)}" if mark == "-"
                       else f".IP {mark} 3\n{inline(body)}")
        elif kind == "heading":
            out.append(f".SS {inline(joined)}")
        else:
            out.append(".PP\n" + inline(joined))
    return "\n".join(out)


def sections(markdown):
    """The text below each "## " heading."""
    parts = re.split(r"^## (.*)$", markdown, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def page(name, number, manual, head, chosen, tail):
    texts = sections(SOURCE.read_text())
    out = [f'.\\" Made by make_man.py from docs/integration.md; change that.',
           f'.TH {name.upper()} {number} "" "vmnet-helper" "{manual}"', head.strip()]
    for heading, title in chosen:
        if title:
            out.append(f".SH {title}")
        out.append(render(texts[heading]))
    text = "\n".join([*out, tail.strip()]) + "\n"
    text = re.sub(r"\.PP\n(?=\.[PS])", "", text)  # paragraphs without text
    return re.sub(r"^(\.S[HS] .*\n)\.PP\n", r"\1", text, flags=re.MULTILINE)


def main():
    pages = {
        "vmnet-helper.8": page("vmnet-helper", 8, "System Administration", HELPER_HEAD,
                               HELPER_SECTIONS, HELPER_TAIL),
        "vmnet-run.1": page("vmnet-run", 1, "User Commands", RUN_HEAD, RUN_SECTIONS, RUN_TAIL),
    }
    for name, text in pages.items():
        target = HERE / name
        if "--check" not in sys.argv:
            target.write_text(text)
        elif not target.exists() or target.read_text() != text:
            sys.exit(f"{target} is not what docs/integration.md says: run {__file__}")


if __name__ == "__main__":
    main()
