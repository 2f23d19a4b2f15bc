"""What an alignment optimizer is, and what it returns.

A new optimizer is a class with `align`; nothing else is needed:

    class MyOptimizer:
        name = "mine"
        def align(self, judge, train, *, valid=None, budget=None, seed=0, callbacks=()):
            ...
            return AlignmentResult(judge=better, optimizer=self.name)

It may use the training rows as it likes, the validation rows for choosing only, and never changes its
arguments. Rows that could not be judged never change a candidate's score.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from judge_opt.judges.judge import Judge
from judge_opt.labels.examples import LabelledExample
from judge_opt.llm.budget import Budget
from judge_opt.memory.guidelines import Guideline


@dataclass(frozen=True, slots=True)
class Event:
    """Progress of an alignment.

    Attributes:
        phase: what is going on, for people: "judge training rows".
        done, total: rows of this phase; 0 of 0 for a note.
    """

    phase: str
    done: int = 0
    total: int = 0


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
class AlignmentResult:
    """What an optimizer returns.

    Attributes:
        judge: the aligned judge, or the untouched one where nothing helped.
        changed: False where the untouched judge is returned.
        components, guidelines, history: what was tried and what it was worth.
        coverage: share of training rows that the untouched judge could judge.
        settings: of the optimizer, JSON.
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


class NoOp:
    """Returns the judge as it is: the baseline of every comparison."""

    name = "noop"

    def align(
        self,
        judge: Judge,
        train: Sequence[LabelledExample],
        *,
        valid: Sequence[LabelledExample] | None = None,
        budget: Budget | None = None,
        seed: int = 0,
        callbacks: Sequence[Callback] = (),
    ) -> AlignmentResult:
        """No call is made."""
        return AlignmentResult(judge, self.name, changed=False)
