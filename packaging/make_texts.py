#!/usr/bin/python3
"""Writes what is made of the option table (src/helper/option_table.cc): the completions, the table of
docs/integration.md with the man pages that follow it, and the options that the example tool hands down.

    cmake --build --preset release --target option_texts     builds the table and calls this
    make_texts.py [--check] build/release/src/option_table_dump

--check writes nothing; exit status 1 where a file is not what it would write.
"""

import json
import pathlib
import re
import subprocess
import sys

import completions

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent
INTEGRATION = REPOSITORY / "docs" / "integration.md"
TABLE_HEAD = "| option | meaning | default |\n|---|---|---|\n"
MADE = "made by packaging/make_texts.py from src/helper/option_table.cc; change that"


def table_row(row):
    name = f"`--{row['name']}{' ' * bool(row['value'])}{row['value']}`"
    if row["letter"]:
        name = f"`-{row['letter']}`, {name}"
    platform = f" ({row['platform']})" if row["platform"] else ""
    default = f" {row['default']} |" if row["default"] else " |"
    return f"| {name} | {row['help']}{platform} |{default}\n"


def integration_page(rows):
    text = INTEGRATION.read_text()
    start = text.index(TABLE_HEAD) + len(TABLE_HEAD)
    length = re.match(r"(\|.*\n)*", text[start:]).end()
    return text[:start] + "".join(map(table_row, rows)) + text[start + length:]


def example_options(rows):
    lines = [f'"""The options of vmnet-run, {MADE}."""\n', "",
             "# Name, value's name (none: a flag), whether it may be given again, what it is.", "HELPER_OPTIONS = ("]
    for row in rows:
        if row["run"] and row["name"] not in ("version", "help"):
            lines.append(f'    ("--{row["name"]}", "{row["value"]}", {row["repeatable"]}, "{row["summary"]}"),')
    return "\n".join([*lines, ")"]) + "\n"


def texts(rows):
    """Each file's path and what it says."""
    yield INTEGRATION, integration_page(rows)
    yield REPOSITORY / "examples" / "vmtool" / "helper_options.py", example_options(rows)
    runs = [row for row in rows if row["run"]]
    for name, text in completions.files(rows, runs, MADE):
        yield HERE / "completion" / name, text


def main():
    check = "--check" in sys.argv
    table = json.loads(subprocess.run([sys.argv[-1]], check=True, capture_output=True, text=True).stdout)
    for path, text in texts(table):
        if not check:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            sys.exit(f"{path} is not what the option table says: build the target option_texts")
    sys.exit(subprocess.run([HERE / "man" / "make_man.py", *["--check"] * check], check=False).returncode)


if __name__ == "__main__":
    main()
