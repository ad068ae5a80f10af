"""The docs as tests read them: pages, links, and command blocks, so that what a page tells its readers
to type is what is run.

A block that a test runs is marked, invisibly to readers, by a comment before it:

    <!-- test: NAME -->
    ```sh
    ...
    ```
"""

import re
from dataclasses import dataclass

from support.lab import REPOSITORY

DOCS = REPOSITORY / "docs"
BLOCK = re.compile(r"(?:<!-- test: (?P<name>[\w-]+) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
                   re.M | re.S)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.*?) *$", re.M)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    name: str | None  # of its test
    language: str
    text: str


def pages():
    """Every Markdown page of the repository that readers are sent to."""
    return sorted([*REPOSITORY.glob("*.md"), *DOCS.rglob("*.md")])


def read(page):
    return (page if hasattr(page, "read_text") else DOCS / page).read_text()


def blocks(page):
    """The fenced blocks of `page` (a path, or a name below docs/), in order."""
    return [Block(str(page), found["name"], found["language"], found["text"])
            for found in BLOCK.finditer(read(page))]


def block(page, name):
    """The text of the block of `page` that is marked with `name`."""
    found = [part.text for part in blocks(page) if part.name == name]
    assert len(found) == 1, f"{page} has {len(found)} blocks marked '{name}'"
    return found[0]


def prose(page):
    """The page's text without its fenced blocks."""
    return BLOCK.sub("", read(page))


def anchors(page):
    """The anchors that GitHub makes of the page's headings."""
    found = set()
    for heading in HEADING.findall(prose(page)):
        text = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r" ", "-", re.sub(r"[^\w\- ]", "", text)))
    return found
