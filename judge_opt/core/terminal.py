"""What is said to people on stderr, safe for a terminal: progress and errors. Results are not said here."""

import sys
from typing import TYPE_CHECKING

from judge_opt.core.text import printable

if TYPE_CHECKING:
    from rich.console import Console


def say(text: str) -> None:
    """A line for people, on stderr, made safe for a terminal."""
    sys.stderr.write(printable(text) + "\n")
    sys.stderr.flush()


def console(*, stderr: bool = False) -> "Console":
    """A rich console that takes no markup and no emoji codes from what it prints."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)
