"""How far a command is: a live line on a terminal, plain lines anywhere else. Always on stderr."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from judge_opt.llm.progress import LiveProgress, PlainProgress, Step, Tally

if TYPE_CHECKING:
    from judge_opt.llm.engine import CallEvent


class Progress(Protocol):
    """A context manager that is told of events and calls from any thread."""

    tally: Tally

    def event(self, event: Step) -> None: ...
    def call(self, call: "CallEvent") -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def make_progress() -> Progress:
    """The live line where stderr is a terminal."""
    return LiveProgress() if sys.stderr.isatty() else PlainProgress()
