"""How far long work is: rows against the clock, and what was bought. Said on stderr, for people."""

import threading
import time
from typing import TYPE_CHECKING, Protocol, Self

from judge_opt.core.terminal import console, say
from judge_opt.core.text import printable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from judge_opt.llm.engine import CallEvent

EVERY_SECONDS = 10.0
_drawing = threading.Lock()
"""Held by what draws on the terminal now."""


class Step(Protocol):
    """Rows done of all, of a named phase; such as an alignment's `Event`."""

    @property
    def phase(self) -> str: ...
    @property
    def done(self) -> int: ...
    @property
    def total(self) -> int: ...


class Tally:
    """What was bought so far. Embeddings made here are no calls of a model that is asked."""

    def __init__(self) -> None:
        self.bought = 0
        self.cached = 0
        self.usd = 0.0
        self.priced = True
        self._lock = threading.Lock()

    def add(self, call: "CallEvent") -> None:
        with self._lock:
            if call.cached:
                self.cached += 1
                return
            self.bought += 1
            if call.usd is None:
                self.priced = False
            else:
                self.usd += call.usd

    def text(self) -> str:
        cost = f"${self.usd:.4f}" if self.priced else "price not known"
        return f"{self.bought} calls bought, {self.cached} from cache, {cost}"


class Phase:
    """The rows of the current phase against the clock.

    Args:
        began: `time.monotonic()` when the phase before ended: the first event comes with its first row.
    """

    def __init__(self, event: Step, began: float) -> None:
        self.name = event.phase
        self.done = event.done
        self.total = event.total
        self.began = began

    def move(self, done: int, total: int) -> None:
        """Worker threads report out of order: never go back."""
        self.done, self.total = max(self.done, done), total

    @property
    def rate(self) -> float:
        return self.done / max(time.monotonic() - self.began, 1e-3)

    def left(self) -> str:
        if not self.done or self.done >= self.total:
            return ""
        seconds = (self.total - self.done) / self.rate
        return f"{seconds:.0f} s left" if seconds < 120 else f"{seconds / 60:.0f} min left"

    def text(self) -> str:
        if not self.total:
            return printable(self.name)
        parts = [f"{self.done}/{self.total} rows", f"{self.rate:.1f} rows/s", self.left()]
        return f"{printable(self.name)}: " + ", ".join(part for part in parts if part)


class PlainProgress:
    """One line when a phase begins, every few seconds, and when it ends."""

    def __init__(self) -> None:
        self.tally = Tally()
        self._phase: Phase | None = None
        self._said = 0.0
        self._last = time.monotonic()
        self._lock = threading.Lock()

    def event(self, event: Step) -> None:
        with self._lock:
            now = time.monotonic()
            if self._phase is None or event.phase != self._phase.name:
                self._phase = Phase(event, self._last)
                due = True
            else:
                ended = self._phase.done < event.total <= event.done
                self._phase.move(event.done, event.total)
                due = ended or now - self._said >= EVERY_SECONDS
            self._last = now
            if not due:
                return
            self._said = now
            say(f"{self._phase.text()} ({self.tally.text()})")

    def call(self, call: "CallEvent") -> None:
        self.tally.add(call)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class LiveProgress:
    """Two lines that are drawn again: the phase with its bar, and what was bought. A phase that has ended
    stays above them as one line.

    Args:
        after: seconds of a phase before anything of it is drawn.
        catch: what the program prints meanwhile stands above the lines. It goes to stderr then: not for a
            program that is not ours.
    """

    def __init__(self, after: float = 0.0, catch: bool = True) -> None:
        from rich.live import Live

        self.tally = Tally()
        self._after = after
        self._draws = False
        self._phase: Phase | None = None
        self._last = time.monotonic()
        self._lock = threading.Lock()
        self._console = console(stderr=True)
        self._live = Live(
            get_renderable=self._lines,
            console=self._console,
            transient=True,
            refresh_per_second=4,
            redirect_stdout=catch,
            redirect_stderr=catch,
        )

    def event(self, event: Step) -> None:
        with self._lock:
            if self._phase is None or event.phase != self._phase.name:
                self._close()
                self._phase = Phase(event, self._last)
            self._phase.move(event.done, event.total)
            self._last = time.monotonic()

    def call(self, call: "CallEvent") -> None:
        self.tally.add(call)

    def __enter__(self) -> Self:
        self._live.start()
        self._draws = _drawing.acquire(blocking=False)
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._close()
        self._live.stop()
        if self._draws:
            _drawing.release()

    def _close(self) -> None:
        """Leave the phase that ended on the screen."""
        if self._phase is not None and self._phase.total:
            seconds = self._last - self._phase.began
            if seconds < self._after:
                return
            done = f"{self._phase.done}/{self._phase.total} rows"
            self._console.print(f"{printable(self._phase.name)}: {done} in {seconds:.0f} s")

    def _lines(self) -> "RenderableType":
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        began = self._last if self._phase is None else self._phase.began
        if time.monotonic() - began < self._after:
            return Group()
        phase, tally = self._phase, Text(self.tally.text(), style="dim", no_wrap=True, overflow="ellipsis")
        if phase is None or not phase.total:
            return Group(Text(printable(phase.name) if phase else "starting"), tally)
        facts = [f"{phase.done}/{phase.total}", f"{phase.rate:.1f} rows/s", phase.left()]
        line = Table.grid(padding=(0, 1))
        for _ in range(3):
            line.add_column(no_wrap=True)
        line.add_row(
            Text(printable(phase.name)),
            ProgressBar(total=phase.total, completed=phase.done, width=16),
            Text(", ".join(fact for fact in facts if fact)),
        )
        return Group(line, tally)


def drawing() -> bool:
    """True where live lines are on the terminal: a second display would draw over them."""
    return _drawing.locked()
