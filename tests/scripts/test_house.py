"""The house of docs/architecture.md: every folder is a row of its table, and a file includes only its
own folder's files and those of rows above."""

import pathlib
import re

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
SOURCES = REPOSITORY / "src"
INCLUDE = re.compile(r'^#include "([^"]+)"', re.MULTILINE)
ROW = re.compile(r"^\| `src/([a-z_/]+)` \|", re.MULTILINE)


def table_of_folders():
    return ROW.findall((REPOSITORY / "docs/architecture.md").read_text())


def folder_of(path):
    return path.rsplit("/", 1)[0]


def wrong_includes(folders, files):
    """Pairs of a file's name and what it includes against the order, or from no folder of the table."""
    order = {folder: number for number, folder in enumerate(folders)}
    for name, text in files:
        for include in INCLUDE.findall(text):
            here, there = folder_of(name), folder_of(include)
            if order.get(there, len(order)) > order[here]:
                yield name, include


def sources():
    for path in sorted(SOURCES.rglob("*.*")):
        if path.suffix in (".cc", ".h") and "sdk" not in path.parts:  # declarations of a system's
            yield str(path.relative_to(SOURCES)), path.read_text()


def test_every_folder_is_in_the_table():
    folders = {folder_of(name) for name, _ in sources()}
    assert folders == set(table_of_folders())


def test_nothing_is_included_against_the_order():
    assert list(wrong_includes(table_of_folders(), sources())) == []


def test_an_include_against_the_order_is_found():
    files = [("base/x.cc", '#include "wire/y.h"\n'), ("wire/y.h", '#include "base/x.h"\n')]
    assert list(wrong_includes(["base", "wire"], files)) == [("base/x.cc", "wire/y.h")]
