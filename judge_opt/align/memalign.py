"""MemAlign: a memory of guidelines and labelled examples that makes a judge rate as the experts do.

After MemAlign of MLflow and Databricks (2025): semantic memory distilled by a reflection LM, episodic
memory of retrieved examples. What differs: the judge is run on the labelled rows first, and the
reflection LM sees where it went wrong; guidelines are distilled from batches and tried on the rows of other
batches; the judge's label probabilities are fused with what the examples alone predict; parts that do not
help are switched off, and the untouched judge is returned where nothing helps; and aligning again with more
labels asks about these only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from judge_opt.align.contract import AlignmentResult, Callback
from judge_opt.align.learning_run import WAITING, LearningRun
from judge_opt.align.running import alignment
from judge_opt.align.semantic import reflection_calls
from judge_opt.core.errors import UsageError
from judge_opt.judges.judge import Judge
from judge_opt.labels.examples import LabelledExample
from judge_opt.llm.budget import Budget

__all__ = ["WAITING", "MemAlign"]


@dataclass(frozen=True, slots=True)
class MemAlign:
    """The default optimizer.

    Attributes:
        reflection_lm: URI of the model that distils guidelines; None: the judge's own.
        embedder: URI of the embedding model.
        weights: part of the item to its weight in similarity; None: equal, or one part alone where that
            predicts the labels better.
        guidelines: guidelines asked for in one reflection call at most; 0 switches them off.
        shots: examples shown for one item; 0 switches them off.
        fusion: pool the judge's probabilities with what the examples alone predict.
        batch_rows: there is one reflection call for so many labelled rows, and one more.
        batch_chars: characters of rows in one reflection call (about four a token).
        trial_calls: calls with which single guidelines are tried; None: one and a half for each new label, at
            most 300.
        check_rows: rows on which guidelines together, and examples, are checked at most.
        first_rows: rows on which examples must look helpful before others are judged with them.
        token_budget: of the examples shown for one item.
        concurrency: calls in flight.
    """

    reflection_lm: str | None = None
    embedder: str = "local:/minilm"
    weights: dict[str, float] | None = None
    guidelines: int = 4
    shots: int = 3
    fusion: bool = True
    batch_rows: int = 50
    batch_chars: int = 24000
    trial_calls: int | None = None
    check_rows: int = 200
    first_rows: int = 20
    token_budget: int = 3000
    concurrency: int = 8

    @property
    def name(self) -> str:
        return "memalign"

    def estimate(self, n_train: int) -> tuple[int, int]:
        """(fewest, most) model calls for `n_train` new rows: each judged once; with guidelines and with
        examples, `check_rows` at most; trials of guidelines; reflection, with one call to merge."""
        reflect = reflection_calls(n_train, self.batch_rows) + 1 if self.guidelines else 0
        checks = min(n_train, self.check_rows)
        most = n_train + reflect
        if self.guidelines:
            most += checks + self.trials(n_train)
        if self.shots:
            most += min(checks, max(self.first_rows, int(0.8 * n_train)))
        return n_train, most

    def trials(self, n_new: int) -> int:
        """Calls for trying single guidelines."""
        return min(int(1.5 * n_new), 300) if self.trial_calls is None else self.trial_calls

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
        """Learn from `train`. Of a judge that has a memory already, its examples are kept, those that `train`
        has too are replaced where they changed, and only what is new is asked about. `valid` is not needed:
        choices are made on rows of `train` that were held out.

        Raises:
            DataError, ModelError, BudgetExceeded: see `rows.check_training` and the session.
        """
        if judge.predict.demos and self.shots:
            raise UsageError(
                f"Judge {judge.name!r} already has fixed demos.", "Use shots=0, or a judge without demos."
            )
        with alignment(self, judge, train, valid, budget, seed, callbacks) as run:
            return LearningRun(self, judge, run).align(train)
