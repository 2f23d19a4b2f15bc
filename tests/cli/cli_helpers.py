"""The command line as a user runs it: a real process, its exit code and its two streams."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LABELS = ("bad", "good")


@dataclass(frozen=True)
class Ended:
    """A process that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on stdout; anything else there is a failure."""
        lines = self.out.splitlines()
        assert len(lines) == 1, self.out
        return json.loads(lines[0])


Run = Callable[..., Ended]


def environment(**changes: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("JUDGE_OPT_", "OPENAI_"))}
    return {**kept, "PYTHONPATH": str(ROOT), "JUDGE_OPT_THREADS": "1", "COLUMNS": "100", **changes}


def row(number: int, value: str | None = None) -> dict[str, Any]:
    """A labelled row; odd numbers are polite, and labelled good."""
    polite = number % 2 == 1
    word = f"{number * 7919 % 10007:x}"
    return {
        "id": f"r{number}",
        "inputs": {"question": f"What about order {word}?"},
        "outputs": {"reply": f"It {word} left on day {number}{', please wait' if polite else ''}."},
        "human": [{"rater": "ana", "name": "tone", "value": value or LABELS[polite], "rationale": "So."}],
    }


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
