"""What the conformance suite runs on: rows of the lab, and endpoints that fail or excel on command."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from judge_opt.align.contract import AlignmentResult
from judge_opt.align.lineage import judge_hash
from judge_opt.judges.judge import Judge
from judge_opt.labels.examples import LabelledExample, Vote
from judge_opt.llm.retry import RetryPolicy
from judge_opt.llm.session import Session, use_session
from judge_opt.testing.fault_server import FaultServer, Reply
from judge_opt.testing.lab.parameters import WorldParameters
from judge_opt.testing.lab.server import LabServer
from judge_opt.testing.lab.world import World

ROWS = 24
QUICK = RetryPolicy(attempts=2, first_wait=0.01, longest_wait=0.02, timeout=10.0, deadline=20.0)
WORLD = World(3, WorldParameters(rater_noise=0.0, rater_bias=0.0, label_noise=0.0))
"""Raters without noise: the labels can be learned, and a perfect judge is perfect."""

Make = Callable[[int], Any]
"""A function of the concurrency that makes an optimizer."""


def training(n: int = ROWS) -> list[LabelledExample]:
    """Rows to learn from."""
    return WORLD.examples(n, seed=1)


def choosing(n: int = 12) -> list[LabelledExample]:
    """Rows to choose by."""
    return WORLD.examples(n, seed=2)


def unseen(n: int = 12) -> list[LabelledExample]:
    """Rows that no optimizer is given."""
    return WORLD.held_out(n)


def judge_at(base_url: str) -> Judge:
    """The untouched judge."""
    return WORLD.judge(_Address(base_url))  # type: ignore[arg-type]


class _Address:
    def __init__(self, base_url: str) -> None:
        self.base_url = base_url


@contextmanager
def home(folder: Path) -> Iterator[Session]:
    """A session in this folder, current inside the block."""
    with Session(folder, retry=QUICK) as session, use_session(session):
        yield session


def fingerprint(result: AlignmentResult) -> dict[str, Any]:
    """Everything about a result that must be the same for the same work: all but the ledger, which tells a
    call that was bought from one that the cache answered."""
    return {
        "judge": judge_hash(result.judge),
        "changed": result.changed,
        "history": [list(step) for step in result.history],
        "components": [asdict(component) for component in result.components],
        "candidates": [asdict(candidate) for candidate in result.candidates],
        "guidelines": [guideline.to_json() for guideline in result.guidelines],
        "coverage": result.coverage,
        "warnings": list(result.warnings),
        "metric": result.metric,
        "stopped": result.stopped,
    }


def sent(server: FaultServer) -> int:
    """Requests that cost something: completions and embeddings."""
    return sum(record.method == "POST" for record in server.requests)


@contextmanager
def answering(server: LabServer, answer: Callable[[dict[str, Any]], Any]) -> Iterator[None]:
    """Let `answer` reply instead of the lab; where it returns None, the lab does."""
    lab = server.answer

    def reply(body: dict[str, Any]) -> Any:
        made = answer(body)
        return lab(body) if made is None else made

    server.answer = reply
    try:
        yield
    finally:
        server.answer = lab


def judged_row(body: dict[str, Any], rows: Sequence[LabelledExample]) -> LabelledExample | None:
    """The row that a request asks to judge; None for a request of another kind (reflection)."""
    said = [str(message.get("content")) for message in body.get("messages", []) if message["role"] == "user"]
    for text in reversed(said):
        found = [row for row in rows if row.fields["outputs"] in text]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def perfect(rows: Sequence[LabelledExample], failing: Sequence[str] = ()) -> Callable[[dict[str, Any]], Any]:
    """Each row's own label; rows with an id in `failing` never get a verdict."""

    def answer(body: dict[str, Any]) -> Any:
        row = judged_row(body, rows)
        if row is None:
            return None
        if row.id in failing:
            return Reply(text="I'd rather not say.")
        return json.dumps({"rationale": "As the experts would.", "verdict": row.gold})

    return answer


def failing_share(rows: Sequence[LabelledExample], failing: Sequence[str]) -> Callable[[dict[str, Any]], Any]:
    """The lab, but for rows with an id in `failing`, which never get a verdict."""

    def answer(body: dict[str, Any]) -> Any:
        row = judged_row(body, rows)
        return Reply(text="I'd rather not say.") if row is not None and row.id in failing else None

    return answer


def changed_text(rows: Sequence[LabelledExample], text: str) -> list[LabelledExample]:
    """The rows, with `text` in items and reasons of every third of them."""
    made = []
    for number, row in enumerate(rows):
        if number % 3:
            made.append(row)
            continue
        fields = {**row.fields, "outputs": f"{row.fields['outputs']} {text}"}
        votes = tuple(Vote(v.rater, v.value, f"{v.rationale} {text}", v.assessment_id) for v in row.votes)
        made.append(replace(row, fields=fields, votes=votes))
    return made
