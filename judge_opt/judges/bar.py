"""The progress of a batch: rows, rate, time left and cost so far, on stderr."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from judge_opt.llm.progress import LiveProgress, PlainProgress, drawing
from judge_opt.llm.session import hearing

Progress = Callable[[int, int], None]
"""Called with (rows done, rows in all)."""
Wanted = Progress | bool | None
"""A function; True and False: a bar, and none; None: a bar where stderr is a terminal."""
_AFTER = 1.0
"""Seconds before a bar is drawn: what ends sooner needs none."""


@dataclass(frozen=True, slots=True)
class _Rows:
    phase: str
    done: int
    total: int


@contextmanager
def shown(wanted: Wanted, name: str, total: int) -> Iterator[Progress | None]:
    """Inside the block the batch tells what this gives; None: nobody wants to know.

    Args:
        name: of the judge, before the bar.
        total: rows in all.
    """
    if callable(wanted):
        yield wanted
        return
    terminal = sys.stderr is not None and sys.stderr.isatty()
    if wanted is False or total == 0 or (wanted is None and not terminal) or drawing():
        yield None
        return
    bar = LiveProgress(_AFTER, catch=False) if terminal else PlainProgress()
    phase = f"judge {name}"

    def told(done: int, total: int) -> None:
        bar.event(_Rows(phase, done, total))

    token = hearing.set(bar.call)
    try:
        with bar:
            bar.event(_Rows(phase, 0, total))
            yield told
    finally:
        hearing.reset(token)
