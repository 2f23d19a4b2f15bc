"""The baseline of every comparison."""

from collections.abc import Sequence

from judge_opt.align.contract import AlignmentResult, Callback
from judge_opt.align.running import alignment
from judge_opt.judges.judge import Judge
from judge_opt.labels.examples import LabelledExample
from judge_opt.llm.budget import Budget


class NoOp:
    """Returns the judge as it is."""

    name = "noop"

    def estimate(self, n_train: int) -> tuple[int, int]:
        """None."""
        return 0, 0

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
        """No call is made, and the rows are not looked at."""
        with alignment(self, judge, train, valid, budget, seed, callbacks) as run:
            run.tell("nothing to do")(0, 0)
            return run.result(judge)
