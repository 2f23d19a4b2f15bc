"""What an evaluation cost: calls, tokens, dollars, and the time that its judgements took."""

from dataclasses import dataclass, field
from typing import Any

from judge_opt.evaluation.board import Board


@dataclass(frozen=True, slots=True)
class Latency:
    """Wall-clock seconds of single judgements (or of runs of the agent), waits and retries included."""

    p50: float
    p95: float
    n: int


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one judge, or of the agent. Cached calls cost nothing and count no dollars, but their tokens are
    counted: they are what the verdicts took.

    Attributes:
        calls: model calls that were bought. cached: answered without buying.
        usd: dollars known to have been spent. unpriced: bought calls whose price is not known.
        latency: None where nothing ran.
    """

    calls: int
    cached: int
    prompt_tokens: int
    completion_tokens: int
    usd: float
    unpriced: int
    latency: Latency | None


@dataclass(frozen=True, slots=True)
class Costs:
    """Over all processes that worked on the run. A call that a killed process had bought and not yet used
    stands here as cached; the call store's ledger has it as bought.

    Attributes:
        total: judges and agent together; its latency is that of judgements.
        judges: judge to its cost.
        agent: None where there is none.
    """

    total: Cost
    judges: dict[str, Cost] = field(default_factory=dict)
    agent: Cost | None = None

    def to_json(self) -> dict[str, Any]:
        from dataclasses import asdict

        return asdict(self)


def costs_of(board: Board) -> Costs:
    """The costs that the journal holds."""
    from judge_opt.evaluation.tally import Tally

    total = Tally()
    for tally in board.spent.values():
        total.add(tally)
    judges = {judge: _cost(board.spent[judge], _seconds(board, judge)) for judge in board.judges}
    agent = _cost(board.spent[""], _seconds(board, "")) if board.with_agent else None
    everything = [seconds for judge in board.judges for seconds in _seconds(board, judge)]
    return Costs(_cost(total, everything), judges, agent)


def _seconds(board: Board, judge: str) -> list[float]:
    return [row[judge] for row in board.seconds if judge in row]


def _cost(tally: Any, seconds: list[float]) -> Cost:
    latency = None
    if seconds:
        ordered = sorted(seconds)
        p50, p95 = (ordered[max(0, -(-len(ordered) * percent // 100) - 1)] for percent in (50, 95))
        latency = Latency(p50, p95, len(ordered))
    return Cost(
        tally.calls,
        tally.cached,
        tally.prompt_tokens,
        tally.completion_tokens,
        tally.usd,
        tally.unpriced,
        latency,
    )
