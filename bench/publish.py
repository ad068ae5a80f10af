"""Puts a run's tables into the marked block of docs/performance.md, and its plots beside that."""

import pathlib
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench"))

from results import replace_block  # noqa: E402


def main():
    folder, document = pathlib.Path(sys.argv[1]), ROOT / "docs" / "performance.md"
    target = document.with_suffix("")
    target.mkdir(exist_ok=True)
    plots = sorted(folder.glob("*.png"))
    for plot in plots:
        shutil.copy(plot, target / plot.name)
    shutil.copy(folder / "results.json", target / "results.json")
    pictures = "\n".join(f"![{plot.stem}](performance/{plot.name})" for plot in plots)
    text = (folder / "results.md").read_text()
    document.write_text(replace_block(document.read_text(), f"{text}\n{pictures}"))


if __name__ == "__main__":
    main()
