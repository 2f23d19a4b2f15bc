"""What goes to stdout and what to stderr.

Results go to stdout; progress, logs and errors to stderr. With `--json`, stdout carries one JSON object
and nothing else, whatever a library prints: file descriptor 1 is turned to stderr while the command runs.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from judge_opt.core.errors import JudgeOptError
from judge_opt.core.terminal import console, say
from judge_opt.core.text import printable

__all__ = ["console", "emit", "fail", "line", "machine_readable", "say", "table"]

_machine: list[IO[str]] = []


@contextmanager
def machine_readable(wanted: bool) -> Iterator[None]:
    """Inside the block, only `emit` reaches stdout, where `wanted`."""
    if not wanted:
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    with os.fdopen(os.dup(kept), "w", encoding="utf-8") as stream:
        _machine.append(stream)
        try:
            yield
        finally:
            _machine.pop()
            sys.stdout.flush()
            os.dup2(kept, 1)
            os.close(kept)


def emit(result: dict[str, Any]) -> None:
    """The command's result as one JSON object on one line, in ASCII."""
    stream = _machine[-1] if _machine else sys.stdout
    stream.write(json.dumps(result, ensure_ascii=True, default=str) + "\n")
    stream.flush()


def fail(error: JudgeOptError) -> int:
    """Report an error in one line and return its exit code."""
    line = " ".join(str(error).split())
    say(f"error: {line}")
    if _machine:
        emit(
            {
                "error": {
                    "kind": type(error).__name__,
                    "message": error.message,
                    "remedy": error.remedy,
                    "exit_code": error.exit_code,
                }
            }
        )
    return error.exit_code


def line(text: str) -> None:
    """A line of the answer on stdout; made safe, and wrapped where the terminal is narrow."""
    from rich.text import Text

    console().print(Text(printable(text)))


def table(columns: list[str], rows: list[list[str]]) -> None:
    """A table on stdout; every cell is text from outside and is made safe."""
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(Text(printable(" ".join(cell.split()))) for cell in row))
    console().print(made)
