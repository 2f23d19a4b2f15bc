"""What was learned of a judge's bias, as numbers on the judge: applied to each verdict, never to a failure.

    judge.calibration.describe(judge.value_type)     # in words
    judge.calibration.to_json()                      # everything

`judge_opt.align.calibrate` fits it; here is what it is and how it is applied. No call is made for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from judge_opt.core.errors import IntegrityError
from judge_opt.core.results import NOT_APPLICABLE, Judgement, Scored, Value
from judge_opt.core.values import ValueType
from judge_opt.judges.decide import decide

Floats = npt.NDArray[np.float64]
Form = Literal["confusion", "logits", "cuts", "isotonic", "linear"]
FLOOR = 1e-4
"""Least probability that a logarithm sees."""
WITHOUT = 0.8
"""Probability of a verdict whose endpoint gives none; the rest is spread evenly."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """One fitted correction.

    Attributes:
        form: how a verdict becomes another one:
            "confusion": `table[i][j]` is the probability that the experts say j where the judge says i;
            "logits": log probabilities times `slope` (a matrix) plus `bias`, then normalized: temperature,
            thresholds, Dirichlet calibration;
            "cuts": a score (the mean rank, or the number) times `slope`, cut at `cuts` with logistic noise;
            "isotonic": a score to a score, by straight lines between `x` and `y`;
            "linear": a number times `slope` plus `bias`.
        numbers: the parameters by those names, lists of numbers.
        weights: one a label: what its probability is multiplied by before one is chosen, so that a rare label
            can win; () for none.
        raters: rater to severity: what is added to the score to predict that rater's own label.
        rows: how many labels it was fitted on.
    """

    form: Form
    numbers: Mapping[str, Any]
    weights: tuple[float, ...] = ()
    raters: Mapping[str, float] = field(default_factory=dict)
    rows: int = 0

    def apply(self, judged: Judgement, value_type: ValueType, rater: str | None = None) -> Judgement:
        """The calibrated judgement.

        Args:
            judged: the judge's own; an Unscored, and "not applicable" on a scale, stay what they are.
            rater: predict this rater's label instead of the panel's; a rater that is not known is the panel.
        """
        if not isinstance(judged, Scored):
            return judged
        off = self.raters.get(rater, 0.0) if rater is not None else 0.0
        if self.form in ("isotonic", "linear"):
            return self._moved(judged, value_type, off)
        found = self.odds(judged, value_type, off)
        if found is None:
            return judged
        labels = value_type.choices()
        odds = {label: float(p) for label, p in zip(labels, found, strict=True)}
        weighted = found * np.asarray(self.weights) if self.weights else found
        weighted = weighted / weighted.sum()
        value = decide({label: float(p) for label, p in zip(labels, weighted, strict=True)}, value_type)
        return self._said(judged, value, value_type, odds[value_type.text_of(value)], odds)

    def odds(self, judged: Scored, value_type: ValueType, off: float = 0.0) -> Floats | None:
        """The calibrated distribution over the labels; None where this verdict has no place on the scale."""
        labels = value_type.choices()
        if self.form == "confusion":
            table: Floats = np.asarray(self.numbers["table"], dtype=np.float64)
            row = table[labels.index(value_type.text_of(judged.value))]
            whole_row: Floats = row / row.sum()
            return whole_row
        if self.form == "logits":
            logits = np.asarray(self.numbers["slope"]) @ np.log(plain_odds(judged, value_type))
            logits = logits + np.asarray(self.numbers["bias"])
            shares = np.exp(logits - logits.max())
            normal: Floats = shares / shares.sum()
            return normal
        at = score_of(judged, value_type)
        if at is None:
            return None
        below = 1.0 / (1.0 + np.exp(self.numbers["slope"] * at + off - np.asarray(self.numbers["cuts"])))
        steps: Floats = np.maximum(np.diff(np.concatenate([[0.0], below, [1.0]])), 0.0)
        whole: Floats = steps / steps.sum()
        return whole

    def describe(self, value_type: ValueType) -> str:
        """In words, one line."""
        labels = value_type.choices()
        if self.form == "confusion":
            best = [labels[int(np.argmax(row))] for row in self.numbers["table"]]
            said = ", ".join(f"{a} is read as {b}" for a, b in zip(labels, best, strict=True) if a != b)
            return f"confusion map: {said or 'labels stay, probabilities change'}"
        if self.form == "logits":
            return f"label probabilities rescaled (bias {_short(self.numbers['bias'])})"
        if self.form == "cuts":
            return f"score times {self.numbers['slope']:.3g}, cut at {_short(self.numbers['cuts'])}"
        if self.form == "linear":
            return f"{self.numbers['slope']:.3g} times the verdict {self.numbers['bias']:+.3g}"
        return f"isotonic through {_short(self.numbers['x'])} to {_short(self.numbers['y'])}"

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "form": self.form,
            "numbers": {name: _plain(value) for name, value in self.numbers.items()},
            "weights": list(self.weights),
            "raters": dict(self.raters),
            "rows": self.rows,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Calibration":
        """The inverse of `to_json`.

        Raises:
            IntegrityError: a form that is not known, or numbers that are none.
        """
        names = {"confusion": "table", "logits": "slope bias", "cuts": "slope cuts", "isotonic": "x y"}
        names["linear"] = "slope bias"
        form, numbers = data.get("form"), data.get("numbers")
        wanted = names.get(str(form), "").split()
        if not wanted or not isinstance(numbers, Mapping) or sorted(wanted) != sorted(numbers):
            raise IntegrityError(f"A calibration of the form {form!r} cannot be read.", "Calibrate again.")
        if not all(np.isfinite(np.asarray(value, dtype=np.float64)).all() for value in numbers.values()):
            raise IntegrityError("A calibration holds numbers that are not finite.", "Calibrate again.")
        return cls(form, dict(numbers), tuple(data["weights"]), dict(data["raters"]), int(data["rows"]))  # type: ignore[arg-type]

    def _moved(self, judged: Scored, value_type: ValueType, off: float) -> Judgement:
        """A score to a score, then to the nearest value that the judge may give."""
        at = score_of(judged, value_type)
        if at is None:
            return judged
        if self.form == "linear":
            to = self.numbers["slope"] * at + self.numbers["bias"] + off
        else:
            to = float(np.interp(at, self.numbers["x"], self.numbers["y"])) + off
        return self._said(judged, nearest_value(to, value_type), value_type, None, None)

    def _said(
        self,
        judged: Scored,
        value: Value,
        value_type: ValueType,
        confidence: float | None,
        odds: Mapping[str, float] | None,
    ) -> Scored:
        details = {**judged.details, "uncalibrated": value_type.text_of(judged.value)}
        return replace(judged, value=value, confidence=confidence, probabilities=odds, details=details)


def plain_odds(judged: Scored, value_type: ValueType) -> Floats:
    """The judge's own distribution, floored; its verdict with `WITHOUT` where the endpoint gave none."""
    labels = value_type.choices()
    if judged.probabilities is not None:
        odds = np.asarray([judged.probabilities.get(label, 0.0) for label in labels], dtype=np.float64)
    else:
        odds = np.full(len(labels), (1.0 - WITHOUT) / max(len(labels) - 1, 1))
        odds[labels.index(value_type.text_of(judged.value))] = WITHOUT
    floored: Floats = np.maximum(odds, FLOOR)
    normal: Floats = floored / floored.sum()
    return normal


def score_of(judged: Scored, value_type: ValueType) -> float | None:
    """The verdict's place on its scale: the mean rank under the label probabilities, or its own; a number
    itself; for two labels the log odds of the second. None for "not applicable"."""
    if judged.value == NOT_APPLICABLE:
        return None
    if not value_type.is_choice:
        return value_type.number_of(judged.value)
    odds = plain_odds(judged, value_type)
    if len(odds) == 2:
        return float(np.log(odds[1] / odds[0]))
    if judged.probabilities is None:
        return float(value_type.choices().index(value_type.text_of(judged.value)))
    return float(odds @ np.arange(len(odds)))


def nearest_value(to: float, value_type: ValueType) -> Value:
    """The value that lies nearest on the scale."""
    if value_type.is_choice:
        labels = [label for label in value_type.choices() if label != NOT_APPLICABLE]
        return value_type.read(labels[int(np.clip(np.floor(to + 0.5), 0, len(labels) - 1))])
    if value_type.low is not None:
        to = max(to, value_type.low)
    if value_type.high is not None:
        to = min(to, value_type.high)
    return round(to) if value_type.kind == "int" else float(to)


def _plain(value: Any) -> Any:
    return value if isinstance(value, (int, float)) else np.asarray(value).tolist()


def _short(values: Any) -> str:
    return ", ".join(f"{float(v):.2g}" for v in list(values)[:6])
