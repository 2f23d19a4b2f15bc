"""What is known of each row so far: filled from the journal when a run is resumed, and by the engine."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from judge_opt.core.results import Judgement, Scored, Unscored
from judge_opt.evaluation.rows import Row
from judge_opt.evaluation.tally import Tally

AGAIN = frozenset({"call_failed", "timeout", "cancelled"})
"""Reasons for no verdict that can be gone when the run is resumed; such rows are judged again."""

NOT_JUDGED = "the run was stopped before this row was judged"


def said_json(result: Judgement, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """A judgement as it stands in the journal: `error` and `detail`, or `value` and what belongs to it."""
    from judge_opt.core.structured import to_json

    if isinstance(result, Unscored):
        return {"error": result.reason, "detail": result.detail}
    out: dict[str, Any] = {"value": to_json(result.value)}
    for name in ("rationale", "confidence", "probabilities"):
        if (value := getattr(result, name)) is not None:
            out[name] = dict(value) if isinstance(value, Mapping) else value
    if metadata:
        out["metadata"] = dict(metadata)
    return out


def judgement_of(said: Mapping[str, Any]) -> Judgement:
    """The inverse of `said_json`."""
    if "error" in said:
        return Unscored(said["error"], said.get("detail", ""))
    return Scored(
        said["value"],
        rationale=said.get("rationale"),
        confidence=said.get("confidence"),
        probabilities=said.get("probabilities"),
    )


class Board:
    """The state of one evaluation.

    Args:
        judges: their names.
        with_agent: the rows' outputs come from an agent.

    Attributes:
        said: for each row, judge to judgement as JSON; absent where nothing is known yet.
        ran: for each row, the agent's entry of the journal; None where it has not run.
        seconds: for each row, judge to wall-clock seconds; "" stands for the agent.
        spent: judge to what its judgements cost; "" stands for the agent.
        noted: (row, judge) of every judgement in the journal, in its order.
        covered: store to how many of those it has for certain.
    """

    def __init__(self, rows: Sequence[Row], judges: Sequence[str], *, with_agent: bool) -> None:
        self.rows = rows
        self.judges = tuple(judges)
        self.with_agent = with_agent
        self.said: list[dict[str, dict[str, Any]]] = [{} for _ in rows]
        self.ran: list[dict[str, Any] | None] = [None] * len(rows)
        self.seconds: list[dict[str, float]] = [{} for _ in rows]
        self.spent: dict[str, Tally] = {name: Tally() for name in ("", *judges)}
        self.noted: list[tuple[int, str]] = []
        self.covered: dict[str, int] = {}

    def take(self, entry: Mapping[str, Any]) -> None:
        """Add an entry of the journal; a later one replaces an earlier one, and both have cost."""
        if "covered" in entry:
            self.covered[entry["store"]] = entry["covered"]
            return
        number, judge = entry["r"], entry.get("j", "")
        self.seconds[number][judge] = entry["t"]
        if cost := entry.get("c"):
            self.spent[judge].add(Tally.from_json(cost))
        if judge:
            self.said[number][judge] = entry["said"]
            self.noted.append((number, judge))
        else:
            self.ran[number] = dict(entry)
            self.said[number].clear()  # they were about other outputs

    def replay(self, entries: Iterable[Mapping[str, Any]]) -> "Board":
        """Add all entries of a journal."""
        for entry in entries:
            self.take(entry)
        return self

    def needs_agent(self, number: int) -> bool:
        """True where the agent has not run on a row, or failed."""
        ran = self.ran[number]
        return self.with_agent and (ran is None or ran.get("error") is not None)

    def needs_judge(self, number: int, judge: str) -> bool:
        """True where a judge has not judged a row, or failed in a way that may be gone."""
        said = self.said[number].get(judge)
        return said is None or said.get("error") in AGAIN

    def complete(self, number: int) -> bool:
        """True where the run has all that it wants of a row, verdicts or reasons."""
        if not self.with_agent:
            return len(self.said[number]) == len(self.judges)
        ran = self.ran[number]
        return ran is not None and (
            ran.get("error") is not None or len(self.said[number]) == len(self.judges)
        )

    def fields(self, number: int) -> dict[str, Any]:
        """What is judged: the row's fields, with the agent's outputs where there is an agent."""
        fields = dict(self.rows[number].fields)
        ran = self.ran[number]
        if self.with_agent:
            fields.pop("outputs", None)
            if ran is not None and ran.get("error") is None:
                fields |= {"outputs": ran["outputs"]} if ran["outputs"] is not None else {}
        return fields

    def trace_id(self, number: int) -> str | None:
        """The stored trace of a row."""
        ran = self.ran[number]
        return (ran or {}).get("trace_id") or self.rows[number].trace_id

    def saying(self, number: int, judge: str) -> dict[str, Any]:
        """A judge's judgement of a row as JSON; the reason, where there is none."""
        ran = self.ran[number]
        if ran is not None and ran.get("error") is not None:
            return {"error": "call_failed", "detail": f"predict_fn failed: {ran['error']}"}
        return self.said[number].get(judge) or {"error": "cancelled", "detail": NOT_JUDGED}

    def judgements(self, judge: str) -> list[Judgement]:
        """One judgement a row."""
        return [judgement_of(self.saying(number, judge)) for number in range(len(self.rows))]
