"""What an alignment optimizer is, and what it returns.

A new optimizer is a class with `align`; nothing else is needed:

    class MyOptimizer:
        name = "mine"
        def align(self, judge, train, *, valid=None, budget=None, seed=0, callbacks=()):
            with alignment(self, judge, train, valid, budget, seed, callbacks) as run:
                ...
                return run.result(better)

It may use the training rows as it likes, the validation rows for choosing only, and never changes its
arguments. Rows that could not be judged never change a candidate's score. `judge_opt.align.running` holds
what every optimizer needs for this (budget, progress, ledger, lineage, a clean stop), docs/optimizers.md has
the tutorial, and `judge_opt.testing.conformance` the tests that every optimizer passes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from judge_opt.judges.judge import Judge
from judge_opt.labels.examples import LabelledExample
from judge_opt.llm.budget import Budget
from judge_opt.llm.ledger import LedgerLine
from judge_opt.memory.guidelines import Guideline


@dataclass(frozen=True, slots=True)
class Event:
    """Progress of an alignment.

    Attributes:
        phase: what is going on, for people: "judge training rows".
        done, total: rows of this phase; 0 of 0 for a note.
        calls, tokens, usd: bought by this alignment so far, earlier attempts included; `usd` leaves out calls
            whose price is not known.
    """

    phase: str
    done: int = 0
    total: int = 0
    calls: int = 0
    tokens: int = 0
    usd: float = 0.0


Callback = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Component:
    """One part of what was learned, and whether it earned its place.

    Attributes:
        score: of the judge with it, on training rows whose group it did not see; None where not measured.
        without: of the judge without it, on the same rows.
        rows: how many rows that is.
        why: the decision in words.
    """

    name: str
    on: bool
    metric: str = ""
    score: float | None = None
    without: float | None = None
    rows: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class CandidateResult:
    """One judge that was tried.

    Attributes:
        name: unique within an alignment; "untouched" is the judge that was given.
        score: its agreement by the alignment's metric on the rows that it was compared on; None: not measured.
        rows: how many rows that is.
        coverage: share of the rows it was given that it judged.
        calls: model calls it cost to make and to measure, repeats that the cache answered included.
        what: what it changes, in words or as text: rewritten instructions, the rules added.
        chosen: it is the judge that was returned.
    """

    name: str
    score: float | None = None
    rows: int = 0
    coverage: float = 1.0
    calls: int = 0
    what: str = ""
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where an aligned judge comes from.

    Attributes:
        optimizer, settings, seed: what was run.
        data_hash: of all rows that were given, with their votes.
        split_hash: of which rows were for learning and which for choosing.
        judge_hash: of the judge that was given, with all that it had learned.
        code_version: of judge_opt.
    """

    optimizer: str
    settings: dict[str, Any]
    seed: int
    data_hash: str
    split_hash: str
    judge_hash: str
    code_version: str

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class AlignmentResult:
    """What an optimizer returns.

    Attributes:
        judge: the aligned judge, or the untouched one where nothing helped.
        changed: False where the judge that was given is returned.
        components, guidelines: what was tried and what it was worth.
        history: (what, metric, score) in order.
        coverage: share of training rows that the untouched judge could judge.
        settings: of the optimizer, JSON.
        candidates: every judge that was tried, the untouched one first.
        ledger: what this alignment asked, by purpose and model; of all its attempts where it was resumed.
        lineage: None where the optimizer does not say.
        metric: what `history` and `candidates` are measured by.
        stopped: "" where it came to its end; "budget" or "no progress" where it stopped early and returned
            the best so far.
    """

    judge: Judge
    optimizer: str
    changed: bool = True
    components: tuple[Component, ...] = ()
    guidelines: tuple[Guideline, ...] = ()
    history: tuple[tuple[str, str, float], ...] = ()
    coverage: float = 1.0
    warnings: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    candidates: tuple[CandidateResult, ...] = ()
    ledger: tuple[LedgerLine, ...] = ()
    lineage: Lineage | None = None
    metric: str = ""
    stopped: str = ""

    @property
    def calls(self) -> int:
        """Requests that this alignment sent to models that are asked; embeddings are not among them."""
        return sum(line.attempts for line in self.ledger if line.purpose != "embed")


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in an alignment, or an optimization of prompts, once what was in flight has ended and is stored.
    Still a KeyboardInterrupt: a program that does not expect it stops as it would.

    Attributes:
        so_far: the best result until then, an `AlignmentResult` or a `PromptResult`; None where there was none
            that could be trusted.
        how: how to go on, in one line.
    """

    def __init__(self, how: str, so_far: Any = None) -> None:
        super().__init__(how)
        self.how = how
        self.so_far = so_far


class AlignmentOptimizer(Protocol):
    """See the module's text.

    Attributes:
        name: shown in reports and stored in the lineage.
    """

    @property
    def name(self) -> str: ...

    def align(
        self,
        judge: Judge,
        train: Sequence[LabelledExample],
        *,
        valid: Sequence[LabelledExample] | None = None,
        budget: Budget | None = None,
        seed: int = 0,
        callbacks: Sequence[Callback] = (),
    ) -> AlignmentResult: ...


def estimate_calls(optimizer: Any, n_train: int) -> tuple[int, int]:
    """(fewest, most) model calls of an alignment on `n_train` rows; (0, 0) where the optimizer does not say."""
    estimate = getattr(optimizer, "estimate", None)
    return estimate(n_train) if estimate is not None else (0, 0)
