"""What a judge does besides judging: it learns from labels, forgets, explains, is registered, saved and copied."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import dspy

from judge_opt.judges import learning
from judge_opt.judges.calibration import Calibration
from judge_opt.labels.examples import LabelledExample
from judge_opt.memory.memory import Memory

if TYPE_CHECKING:
    from judge_opt.judges.judge import Judge


class Learner:
    """A part of `Judge`; see there."""

    memory: Memory | None
    calibration: Calibration | None
    predict: Any

    @property
    def _judge(self) -> "Judge":
        return cast("Judge", self)

    def align(
        self, labelled: Any = None, optimizer: Any = None, *, traces: Any = None, **options: Any
    ) -> "Judge":
        """A judge that agrees better with the labels; this one is not changed. MLflow's name and habit:
        `judge.align(optimizer, traces)` and `judge.align(traces)` are understood too.

        Args:
            labelled: labelled examples (see `judge_opt.load_examples` and `judge_opt.make_split`), or
                traces with people's feedback of this judge's name; keep some rows back, for
                `judge_opt.validate_judges`.
            optimizer: anything with `align` (see `judge_opt.align.contract`); default: `MemAlign()`. Call
                its `align` yourself for the whole `AlignmentResult`. One that returns a judge is fine.
            traces: the same as `labelled`.
            **options: handed to the optimizer: seed, budget, callbacks.

        Raises:
            UsageError: nothing to learn from was given.
            DataError: no trace has a label of this judge's name; the names that there are are listed.
            JudgeOptError: see the optimizer.
        """
        return learning.align(self._judge, labelled, optimizer, traces, options)

    def unalign(
        self,
        traces: Any = None,
        *,
        assessments: Any = None,
        rater: str | Sequence[str] | None = None,
    ) -> "Judge":
        """A judge without what it learned from some labels; this one is not changed, and no model is asked.
        Examples and votes go, and guidelines that stand on them alone; what is left is fitted anew. Taking all
        of them back gives the untouched judge. MLflow's name.

        Args:
            traces: traces, labelled examples, or their ids: whole examples go.
            assessments: assessments or their ids: single votes go.
            rater: one or several raters, all of whose votes go.

        Raises:
            UsageError: the judge has learned nothing, or nothing was named.
            NotFound: something that was named is not in its memory; nothing is changed.
        """
        return learning.unalign(self._judge, traces, assessments, rater)

    def explain(self, item: Any, *, measure: bool = False) -> Any:
        """What stood behind one judgement: the guidelines and examples that were used and what each
        contributed; `print` it.

        Args:
            item: as of `judge_item`.
            measure: also judge the item without each of its guidelines and examples: one call each.
        """
        from judge_opt.judges.explaining import explain

        return explain(self._judge, item, measure=measure)

    def register(self, name: str | None = None, tags: Mapping[str, str] | None = None, **options: Any) -> Any:
        """Store this judge as an immutable version; `options` (alias, lineage, home, registry) and all else
        as of `judge_opt.register_judge`."""
        from judge_opt.registry.judges import register

        return register(self._judge, name, tags=dict(tags or {}), **options)

    def with_memory(self, memory: Memory | None) -> "Judge":
        """A copy of this judge with another memory; this one is not changed."""
        other = self.copy()
        other.memory = memory
        return other

    def with_calibration(self, calibration: Calibration | None) -> "Judge":
        """A copy of this judge with another calibration; this one is not changed."""
        other = self.copy()
        other.calibration = calibration
        return other

    def save(self, path: str | Path, *_: Any, **__: Any) -> None:
        """Write this judge to a folder as JSON of our own, with hashes; `judge_opt.load_judge` reads it.
        DSPy's arguments are taken and not needed: nothing is ever pickled."""
        from judge_opt.judges.stored import save_judge

        save_judge(self._judge, Path(path))

    def load(self, path: str | Path, *_: Any, **__: Any) -> None:
        """Become the judge that was saved to a folder, at this one's `base_url`. DSPy's habit;
        `judge_opt.load_judge` is plainer.

        Raises:
            UsageError: the folder holds a judge of another kind.
            NotFound, IntegrityError: see `judge_opt.load_judge`.
        """
        learning.load(self._judge, path)

    def example(self, labelled: LabelledExample) -> dspy.Example:
        """A labelled row as DSPy's optimizers take it: the item's fields are its inputs; `value`, the
        predictor's own fields and its verdict are there for metrics and for demos."""
        return learning.example(self._judge, labelled)

    def copy(self) -> "Judge":
        """An independent judge with the same state."""
        other = self._judge._made_again()
        other.memory = self.memory
        other.calibration = self.calibration
        other.predict.signature = self.predict.signature
        other.predict.demos = copy.deepcopy(self.predict.demos)
        other.predict.lm = self.predict.lm
        return other

    def deepcopy(self) -> "Judge":
        """DSPy's name for `copy`: what optimizers call."""
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> "Judge":
        return self.copy()
