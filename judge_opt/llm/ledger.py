"""What was asked of models, what it cost, and how it ended: one row a call."""

import time
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One call, bought or served from the cache.

    Attributes:
        run_id: the run that made the call, or "".
        purpose: judge, reflect, agent, embed, ...
        model: the model URI that was asked; the model that answered is in `answered`.
        key: the content address of the request.
        cached: True where nothing was bought: the reply came from the cache or from a call in flight.
        prompt_tokens, completion_tokens: as the endpoint reported them; 0 where it reported none.
        usd: None where the price is not known.
        seconds: wall-clock time of the attempts, without the waits for a free slot and between them.
        attempts: requests that were sent; 0 for a cache hit.
        outcome: "ok", or "error:<kind>" with lm15's code for the error.
    """

    run_id: str
    purpose: str
    model: str
    key: str
    cached: bool
    answered: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float | None = 0.0
    seconds: float = 0.0
    attempts: int = 0
    outcome: str = "ok"


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """The ledger's sum for one purpose and one model.

    Attributes:
        calls: calls that were bought and answered.
        failed: calls that ended in an error after every retry.
        attempts: requests that were sent, for bought and failed calls together.
        hits: calls that cost nothing.
        usd: dollars known to have been spent.
        unpriced: bought calls whose price is not known, and which `usd` therefore leaves out.
        seconds: wall-clock seconds of the attempts, summed over concurrent calls.
    """

    purpose: str
    model: str
    calls: int
    failed: int
    attempts: int
    hits: int
    prompt_tokens: int
    completion_tokens: int
    usd: float
    unpriced: int
    seconds: float


LEDGER_COLUMNS = (
    "time", "run_id", "purpose", "model", "key", "cached", "answered", "prompt_tokens", "completion_tokens",
    "usd", "seconds", "attempts", "outcome",
)  # fmt: skip
"""As the ledger's table names them, in the order of `ledger_values`."""


def ledger_values(row: LedgerRow) -> tuple[Any, ...]:
    """A row as it is stored, with the time of now."""
    return (
        time.time(), row.run_id, row.purpose, row.model, row.key, int(row.cached), row.answered,
        row.prompt_tokens, row.completion_tokens, row.usd, row.seconds, row.attempts, row.outcome,
    )  # fmt: skip
