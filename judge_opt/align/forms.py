"""Which form of the judge to keep: with guidelines, with examples, with fusion, or none of them.

Forms are compared row by row, on judgements that saw neither the row's label nor its group's: by the log
probability of the experts' label (on numeric scales by the distance), which is far less noisy than agreement
on a few dozen rows. A part is left out where the rows speak against it; where they say nothing, what the
experts wrote is believed. The form that is chosen must then agree better than the untouched judge, surely
enough, or the untouched judge is returned.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from judge_opt.align.objective import Metric
from judge_opt.align.rows import TrainingRow
from judge_opt.align.scoring import MIN_COVERAGE, NoHarm, no_harm
from judge_opt.core.results import Judgement, Scored, Unscored
from judge_opt.core.values import ValueType
from judge_opt.judges.decide import decide
from judge_opt.judges.judge import distribution
from judge_opt.memory.fusion import held_out_fusion, log_odds

Floats = npt.NDArray[np.float64]
DOUBT = 1.0
"""Standard errors by which a part that costs little may look worse than nothing and still stay."""
SURE = 0.8
"""Share of resamples in which the chosen form must agree better than the untouched judge."""


@dataclass(frozen=True, slots=True)
class Form:
    """Attributes:
    parts: of "guidelines", "examples" and "fusion", in this order; () is the untouched judge.
    own: row position to what the model says, the row's group held out; nothing fused.
    judged: row position to the verdict of this form: `own`, or fused with the weights of other rows.
    loss: of each judged row; lower is better.
    """

    parts: tuple[str, ...]
    own: Mapping[int, Judgement]
    judged: Mapping[int, Judgement]
    loss: Mapping[int, float]

    @property
    def name(self) -> str:
        return " + ".join(self.parts) or "untouched"


@dataclass(frozen=True, slots=True)
class Compared:
    """Two forms on the rows that both judged. Attributes:
    gain: mean of how much lower the second's loss is.
    error: its standard error; infinite below three rows.
    """

    gain: float
    error: float
    rows: int


class Forms:
    """All forms of one alignment.

    Args:
        sources: distributions that the examples alone give for each row, see `fitting.Predictors`; {} where
            there is no fusion.
        labels: positions of the gold labels.
    """

    def __init__(
        self,
        rows: Sequence[TrainingRow],
        value_type: ValueType,
        sources: Mapping[str, Floats],
        labels: npt.NDArray[np.int64],
        seed: int,
    ) -> None:
        self.rows = rows
        self.value_type = value_type
        self.sources = sources
        self.labels = labels
        self.seed = seed
        self.made: dict[tuple[str, ...], Form] = {}

    def add(self, parts: Sequence[str], own: Mapping[int, Judgement]) -> None:
        """A form, and the same with fusion where there is one."""
        own = {i: own[i] for i in sorted(own)}
        self._keep(tuple(parts), own, own)
        if self.sources:
            self._keep((*parts, "fusion"), own, self._fused(own))

    def _keep(
        self, parts: tuple[str, ...], own: Mapping[int, Judgement], judged: Mapping[int, Judgement]
    ) -> None:
        loss = {i: self._loss(i, j) for i, j in judged.items() if isinstance(j, Scored)}
        self.made[parts] = Form(parts, own, judged, loss)

    def _fused(self, own: Mapping[int, Judgement]) -> dict[int, Judgement]:
        return self._pooled(own, self.sources)

    def _pooled(self, own: Mapping[int, Judgement], sources: Mapping[str, Floats]) -> dict[int, Judgement]:
        """The model's own verdicts pooled with sources, by weights of other rows."""
        kept = [i for i, j in own.items() if isinstance(j, Scored)]
        out: dict[int, Judgement] = dict(own)
        groups = [self.rows[i].example.group for i in kept]
        if len(set(groups)) < 2:
            return {i: Unscored("cancelled", "too few groups") for i in own}
        odds = np.asarray([distribution(j, self.value_type) for i in kept if isinstance(j := own[i], Scored)])
        pooled = {"judge": odds} | {name: some[kept] for name, some in sources.items()}
        choices = self.value_type.choices()
        for i, one in zip(kept, held_out_fusion(pooled, self.labels[kept], groups, self.seed), strict=True):
            told = dict(zip(choices, one.tolist(), strict=True))
            value = decide(told, self.value_type)
            out[i] = Scored(value, None, told[self.value_type.text_of(value)], told)
        return out

    def _loss(self, i: int, judged: Scored) -> float:
        gold = self.rows[i].gold
        if not self.value_type.is_choice:
            a, b = self.value_type.number_of(gold), self.value_type.number_of(judged.value)
            return abs(a - b) if a is not None and b is not None else float(gold != judged.value)
        odds = log_odds(np.asarray([distribution(judged, self.value_type)]))[0]
        shares = self.rows[i].example.soft
        known = [(share, label) for label, share in shares.items() if label in self.value_type.choices()]
        return float(-sum(share * odds[self.value_type.choices().index(label)] for share, label in known))

    def compare(self, first: Form, second: Form) -> Compared:
        """How much better the second is."""
        gains = [first.loss[i] - second.loss[i] for i in first.loss if i in second.loss]
        if len(gains) < 3:
            return Compared(0.0, float("inf"), len(gains))
        spread = float(np.std(gains, ddof=1))
        return Compared(float(np.mean(gains)), spread / len(gains) ** 0.5, len(gains))

    def covers(self, form: Form) -> bool:
        """False where it leaves rows without a verdict that the untouched judge has one for."""
        plain = self.made[()]
        there = [i for i in form.own if isinstance(plain.own.get(i), Scored)]
        judged = sum(isinstance(form.judged[i], Scored) for i in there)
        return bool(there) and judged >= MIN_COVERAGE * len(there)

    def decide(self, part: str, with_it: tuple[str, ...], without: tuple[str, ...]) -> tuple[Compared, bool]:
        """What a part gains, and whether it stays. Examples make every prompt several times longer, so they
        must show a gain; guidelines and fusion cost next to nothing, and go where the rows speak against
        them. A part with which rows are left without a verdict goes."""
        found = self.compare(self.made[without], self.made[with_it])
        doubt = 0.0 if part == "examples" else DOUBT * found.error
        stays = found.rows >= 3 and found.gain + doubt > 0 and self.covers(self.made[with_it])
        return found, stays

    def harmless(self, form: Form, metric: Metric) -> NoHarm:
        """Is a form surely better than the untouched judge? Either it agrees better in `SURE` of the resamples;
        or, since agreement on a few dozen rows is a coarse measure, its probabilities are better by more than
        a standard error than those of the untouched judge after calibration on the same rows, while its
        agreement is not surely worse."""
        both = [i for i in form.judged if i in self.made[()].judged]
        rows = [self.rows[i].example for i in both]
        before = [self.made[()].judged[i] for i in both]
        after = [form.judged[i] for i in both]

        def test(sure: float) -> NoHarm:
            return no_harm(metric, rows, before, after, self.value_type, seed=self.seed, sure=sure)

        found = test(SURE)
        if found.keep or not self.sources or found.low is None or found.better < 1 - SURE:
            return found
        gained = self.compare(self.calibrated, form)
        if gained.gain <= gained.error:
            return found
        why = f"{found.why}; log probability {gained.gain:+.3f} ± {gained.error:.3f} a row against the calibrated judge"
        return replace(found, keep=True, why=why)

    @cached_property
    def calibrated(self) -> Form:
        """The untouched judge with its own probabilities mapped to the experts' labels: what calibration alone
        would give."""
        own = self.made[()].own
        judged = self._pooled(own, {})
        loss = {i: self._loss(i, j) for i, j in judged.items() if isinstance(j, Scored)}
        return Form(("calibration",), own, judged, loss)

    def ranked(self) -> list[Form]:
        """Forms other than the untouched judge, the one with the largest gain over it first."""
        plain = self.made[()]
        found = [form for parts, form in self.made.items() if parts and self.covers(form)]
        return sorted(found, key=lambda form: (-self.compare(plain, form).gain, len(form.parts)))

    def table(self, metric: Metric) -> dict[str, tuple[float, int]]:
        """Name to (agreement, rows), on the rows that all of them judged."""
        able = [form for form in self.made.values() if form is self.made[()] or self.covers(form)]
        common = [
            i for i in range(len(self.rows)) if all(isinstance(form.judged.get(i), Scored) for form in able)
        ]
        table = {}
        for form in able:
            said = [j for i in common if isinstance(j := form.judged[i], Scored)]
            score = metric.pooled([self.rows[i].example for i in common], said, self.value_type)
            table[form.name] = (score, len(common))
        return table
