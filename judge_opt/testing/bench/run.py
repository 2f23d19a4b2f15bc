"""Running a grid: worker processes, a journal, and what is left to do after a kill."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from judge_opt.core.errors import ConfigError, ModelError
from judge_opt.core.files import write_text
from judge_opt.core.killpoints import reach
from judge_opt.evaluation.journal import Journal, read_journal
from judge_opt.testing.bench.cells import Cell, RivalRunner, cells_of, run_cell
from judge_opt.testing.bench.config import BenchConfig
from judge_opt.testing.bench.sources import sources_of

Progress = Callable[[int, int, dict[str, Any]], None]


def run_bench(config: BenchConfig, home: Path, jobs: int = 1, progress: Progress | None = None) -> Path:
    """Run what is not in the journal yet. A cell counts as there where its arm is what it was then: after a
    change of our code our arms are run anew, and the rivals' cells stay.

    Args:
        home: the run's folder is `home/bench/<name>-<run id>`.
        jobs: worker processes at a time.
        progress: called after each cell with done, total and the cell's line.

    Returns:
        the run's folder, with `config.json` and `journal.jsonl`.
    """
    folder = home / "bench" / f"{config.name}-{config.run_id}"
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "config.json", config.model_dump_json(indent=1) + "\n")
    done = {_key(line) for line in lines_of(folder, config)}
    cells, sources = cells_of(config), sources_of(config)
    left: SimpleQueue[Cell] = SimpleQueue()
    for cell in cells:
        if cell.key not in done:
            left.put(cell)
    count = len(done)
    with Journal(folder, config.run_id) as journal, ThreadPoolExecutor(jobs) as pool:

        def work() -> None:
            nonlocal count
            with ExitStack() as stack:
                worker: Worker | None = None
                while True:
                    try:
                        cell = left.get_nowait()
                    except Empty:
                        return
                    worker = worker or stack.enter_context(Worker(config))
                    line = {**worker.run(cell), "source": sources[cell.arm]}
                    journal.append(line)
                    journal.sync()
                    reach("bench.cell_done")
                    count += 1
                    if progress is not None:
                        progress(count, len(cells), line)

        for future in [pool.submit(work) for _ in range(jobs)]:
            future.result()
    return folder


def lines_of(folder: Path, config: BenchConfig) -> list[dict[str, Any]]:
    """The journal's lines in the order of the grid, whatever the order in which they were written. Lines of an
    arm that was another then are left out."""
    order = {cell.key: place for place, cell in enumerate(cells_of(config))}
    sources = sources_of(config)
    lines = [
        line
        for line in read_journal(folder, config.run_id)
        if "arm" in line and line.get("source") == sources.get(line["arm"])
    ]
    return sorted((line for line in lines if _key(line) in order), key=lambda line: order[_key(line)])


def _key(line: dict[str, Any]) -> str:
    return Cell(line["family"], line["world"], line["labels"], line["arm"]).key


class Worker:
    """A process that runs cells: `python -m judge_opt.testing.bench.run`. A context manager."""

    def __init__(self, config: BenchConfig) -> None:
        self._config = config

    def __enter__(self) -> "Worker":
        self._child = subprocess.Popen(
            [sys.executable, "-m", "judge_opt.testing.bench.run"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OPENAI_API_KEY": "bench"},
        )
        self._send(self._config.model_dump(mode="json"))
        return self

    def __exit__(self, *_: object) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        self._child.wait()
        self._child.stdout.close()

    def run(self, cell: Cell) -> dict[str, Any]:
        """One cell's line."""
        self._send(asdict(cell))
        assert self._child.stdout is not None
        answer = self._child.stdout.readline()
        if not answer:
            raise ModelError(f"The worker ended in cell {cell.key}.", "Read what it printed, and run again.")
        line: dict[str, Any] = json.loads(answer)
        return line

    def _send(self, value: Any) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(value).encode() + b"\n")
        self._child.stdin.flush()


def work_on_stdin() -> None:
    """The worker's side: a configuration, then cells, one a line."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what optimizers print goes to stderr
    config = BenchConfig.model_validate_json(sys.stdin.readline())
    with ExitStack() as stack:
        rivals: RivalRunner | None = None
        for line in sys.stdin:
            cell = Cell(**json.loads(line))
            if rivals is None and any(arm.rival for arm in config.arms if arm.name == cell.arm):
                rivals = stack.enter_context(_runner(str(config.rivals)))
            out.write(json.dumps(run_cell(cell, config, rivals)).encode() + b"\n")
            out.flush()


def _runner(name: str) -> RivalRunner:
    module, _, attribute = name.partition(":")
    try:
        made: RivalRunner = getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"No runner of rivals {name!r}: {error}", "Run from the checkout's root.") from None
    return made


if __name__ == "__main__":
    work_on_stdin()
