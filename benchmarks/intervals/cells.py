"""A campaign as independent cells, each kept as soon as it is done: a run that was stopped goes on."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """A name that is unique in its part, and what makes its rows."""

    name: str
    make: Callable[[], list[Row]]


def rows_of(part: str, cells: Sequence[Cell], folder: Path) -> list[Row]:
    """The rows of all cells in order; those of a cell that is in the journal are taken from there.

    Args:
        folder: of the journals, one a part; delete it to begin again.
    """
    folder.mkdir(exist_ok=True)
    journal = folder / f"{part}.jsonl"
    done: dict[str, list[Row]] = {}
    if journal.is_file():
        for line in journal.read_text().splitlines():
            try:
                kept = json.loads(line)
            except ValueError:  # a line that was torn when the run was stopped
                continue
            done[kept["cell"]] = kept["rows"]
    with journal.open("a") as log:
        for k, cell in enumerate(cells, 1):
            if cell.name not in done:
                done[cell.name] = cell.make()
                log.write("\n" + json.dumps({"cell": cell.name, "rows": done[cell.name]}))
                log.flush()
                print(f"{part} {k} of {len(cells)}: {cell.name}", flush=True)
    return [row for cell in cells for row in done[cell.name]]
