"""A folder of results, laid out as the original's bench tool does, so that either tool reads the other's:

    bench/NETWORK/MODE-DRIVER[:TAG]-VMS/DIRECTION.json   iperf3's answer, of the first round
    bench/NETWORK/MODE-DRIVER[:TAG]-VMS/DIRECTION.N.json ... of round N
    results.json, results.md, results.png                of bench/vms: with processors and failures
"""

import os
import re

from .results import DIRECTIONS, Row, Sample, from_json, parse_iperf3

TRANSFERS = re.compile(r"(?P<mode>[a-z]+)-(?P<driver>.+)-(?P<vms>[0-9]+)")


class FolderError(Exception):
    """A folder or file that cannot be read, in one line."""


def transfers_of(folder, row):
    """Where iperf3's answers of a row are."""
    return folder / "bench" / row.network / f"{row.mode}-{row.driver}-{row.vms}"


def answers(folder, direction):
    """The files of a direction's rounds, in order."""
    numbered = re.compile(re.escape(direction) + r"(?:\.([0-9]+))?\.json")
    found = ((numbered.fullmatch(path.name), path) for path in folder.glob("*.json"))
    return [path for _, path in sorted((int(match[1] or 1), path) for match, path in found if match)]


def forget(folder, row):
    """Removes the answers of a row's earlier run, which may have had more rounds."""
    for path in answers(transfers_of(folder, row), row.direction):
        path.unlink()


def keep(folder, row, number, text):
    """Writes iperf3's answer of round `number`, from 1."""
    place = transfers_of(folder, row)
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{row.direction}{f'.{number}' if number > 1 else ''}.json").write_text(text)


def read(folder):
    """The rows of a folder: those of results.json, and those whose answers of iperf3 alone are there."""
    if not folder.is_dir():
        raise FolderError(f"{folder} is not a folder of results")
    rows = read_rows(folder)
    known = {row.key for row in rows}
    rows += [row for row in read_answers(folder) if row.key not in known]
    if not rows:
        raise FolderError(f"{folder} has neither results.json nor bench/NETWORK/MODE-DRIVER-VMS/TEST.json")
    return rows


def read_rows(folder):
    file = folder / "results.json"
    try:
        return from_json(file.read_text()) if file.exists() else []
    except (OSError, ValueError) as error:
        raise FolderError(f"{file}: {error}; remove it to begin anew") from None


def read_answers(folder):
    for place in sorted(folder.glob("bench/*/*")):
        name = TRANSFERS.fullmatch(place.name)
        if not name:
            continue
        for direction in DIRECTIONS:
            row = Row(place.parent.name, name["driver"], name["mode"], direction, vms=int(name["vms"]))
            for path in answers(place, direction):
                read_answer(path, row)
            if row.samples or row.note:
                yield row


def read_answer(path, row):
    try:
        row.samples.append(Sample(*parse_iperf3(path.read_text())))
    except (OSError, ValueError) as error:
        row.note = f"failed: {error}"


def merge(earlier, rows):
    """The earlier rows but those that are measured again, then the new ones."""
    fresh = {row.key for row in rows}
    return [row for row in earlier if row.key not in fresh] + rows


def distinct(paths):
    """What tells folders of results apart: their paths without what all begin with."""
    whole = [path.resolve() for path in paths]
    common = os.path.commonpath(whole)
    return [os.path.relpath(path, common) if str(path) != common else path.name for path in whole]
