"""`compare`: two evaluations on exactly the rows that both judged.

    print(compare("before-1a2b3c4d", after))

Rows are paired by id, and left out where their inputs are not the same. Where every row stands for itself
the p-value is the textbook's: exact McNemar for yes/no, Wilcoxon for ordered labels and numbers, Bhapkar for
categories. Where rows form groups these would take copies for evidence; then whole groups are swapped. The
p-values of several judges are corrected by Holm's method.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from judge_opt.core.errors import DataError, UsageError
from judge_opt.core.results import Judgement, Scored, Value
from judge_opt.core.text import nearest
from judge_opt.core.values import ValueType
from judge_opt.evaluation.metrics import positive_label
from judge_opt.evaluation.paired import (
    Test,
    homogeneity_test,
    mcnemar_test,
    swap_test,
    wilcoxon_test,
)
from judge_opt.evaluation.result import EvaluationResult
from judge_opt.evaluation.statistics import group_codes, mean, share
from judge_opt.validate.compare import holm
from judge_opt.validate.figures import Figure, Strict
from judge_opt.validate.pairs import FloatArray, IntArray


class Shift(Strict):
    """One figure of both runs on the shared rows.

    Attributes:
        name: as in `JudgeMetrics.figures`.
        difference: b minus a, with a paired interval.
    """

    name: str
    a: Figure
    b: Figure
    difference: Figure


class JudgeComparison(Strict):
    """One judge in both runs.

    Attributes:
        n_pairs, n_groups: shared rows that it scored in both runs, and their groups.
        only_a, only_b, neither: shared rows that were left out, by where it scored them.
        differences: the most telling first; empty where its verdicts cannot be compared.
        p_value, test: of "the runs do not differ", two-sided; None with `reason` where it cannot be tested.
        p_adjusted: after Holm's correction for the number of judges.
        row_p, row_test: of the test that takes rows as independent.
        swap_p, swap_test: of the test that swaps whole groups.
        verdict: what it says, in one sentence.
    """

    judge: str
    kind: str
    n_pairs: int
    n_groups: int
    only_a: int
    only_b: int
    neither: int
    differences: list[Shift]
    p_value: float | None
    p_adjusted: float | None = None
    test: str | None
    row_p: float | None
    row_test: str | None
    swap_p: float | None
    swap_test: str | None
    reason: str | None = None
    verdict: str = ""


class EvaluationComparison(Strict):
    """Run b against run a. `to_json()` for machines, `text()` for people.

    Attributes:
        a, b: the runs' ids.
        n_shared: rows in both, with the same inputs.
        only_a, only_b: rows of one run alone. changed: rows of one id whose inputs differ.
        alpha: below it (after correction) a difference is called shown.
        judges: those that both runs have.
        notes: what a reader must know, such as judges that could not be compared.
    """

    a: str
    b: str
    n_shared: int
    only_a: int
    only_b: int
    changed: int
    alpha: float
    confidence: float
    judges: list[JudgeComparison]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return self.model_dump(mode="json")

    def text(self) -> str:
        """A table and one sentence a judge."""
        from judge_opt.evaluation.text import comparison_text

        return comparison_text(self)

    def __str__(self) -> str:
        return self.text()


def compare(
    run_a: "EvaluationResult | str",
    run_b: "EvaluationResult | str",
    *,
    home: "Path | str | None" = None,
    alpha: float = 0.05,
    confidence: float = 0.95,
    n_boot: int = 2000,
    n_swaps: int = 9999,
    seed: int = 0,
) -> EvaluationComparison:
    """Compare two evaluations, b against a.

    Args:
        run_a, run_b: results, or ids of stored runs.
        home: where ids are looked up; default: the current session's.
        alpha: the chance of any false "differs" over all judges.
        n_boot: bootstrap resamples for the intervals; 0 for none.
        n_swaps: random swaps of groups; the smallest p-value is 1 / (n_swaps + 1).

    Raises:
        NotFound: there is no such run.
        UsageError: the runs have no judge in common.
        DataError: the runs have no row in common.
    """
    a, b = _run(run_a, home), _run(run_b, home)
    names = [name for name in a.judges if name in b.judges]
    if not names:
        raise UsageError(
            f"{a.run_id} and {b.run_id} have no judge in common: {', '.join(a.judges)}; {', '.join(b.judges)}."
            f"{nearest(a.judges[0], b.judges)}",
            "Compare runs with a judge of one name.",
        )
    pairs, changed = _paired(a, b)
    if not pairs:
        raise DataError(
            f"{a.run_id} and {b.run_id} have no row in common ({changed} have one id and other inputs).",
            "Rows are paired by id: give rows of one item the same id in both runs.",
        )
    how = {"n_boot": n_boot, "seed": seed, "confidence": confidence}
    compared, notes = [], _notes(a, b)
    for name in names:
        if a.value_type(name) != b.value_type(name):
            notes.append(f"{name}: its values are of another type in each run, so it is not compared.")
            continue
        compared.append(_judge(name, a, b, pairs, how, n_swaps))
    tested = [one.p_value for one in compared if one.p_value is not None]
    adjusted = iter(holm(tested))
    finished = []
    for one in compared:
        corrected = None if one.p_value is None else next(adjusted)
        one = one.model_copy(update={"p_adjusted": corrected})
        finished.append(one.model_copy(update={"verdict": _verdict(one, a.run_id, b.run_id, alpha)}))
    return EvaluationComparison(
        a=a.run_id,
        b=b.run_id,
        n_shared=len(pairs),
        only_a=len(a.rows) - len(pairs) - changed,
        only_b=len(b.rows) - len(pairs) - changed,
        changed=changed,
        alpha=alpha,
        confidence=confidence,
        judges=finished,
        notes=notes,
    )


def _run(run: "EvaluationResult | str", home: "Path | str | None") -> EvaluationResult:
    if isinstance(run, EvaluationResult):
        return run
    from judge_opt.evaluation.kept import load_evaluation

    return load_evaluation(run, home=home)


def _paired(a: EvaluationResult, b: EvaluationResult) -> tuple[list[tuple[int, int]], int]:
    """Positions of the shared rows in the order of their ids, and how many have other inputs."""
    place = {row.id: number for number, row in enumerate(b.rows)}
    pairs, changed = [], 0
    for number, row in sorted(enumerate(a.rows), key=lambda one: one[1].id):
        other = place.get(row.id)
        if other is None:
            continue
        if row.fields.get("inputs") == b.rows[other].fields.get("inputs"):
            pairs.append((number, other))
        else:
            changed += 1
    return pairs, changed


def _notes(a: EvaluationResult, b: EvaluationResult) -> list[str]:
    notes = [
        f"{run.run_id} was stopped before all rows were judged." for run in (a, b) if run.status == "stopped"
    ]
    for name in a.judges:
        if name not in b.judges:
            notes.append(f"{name} judged in {a.run_id} only.")
    notes += [f"{name} judged in {b.run_id} only." for name in b.judges if name not in a.judges]
    digests = {one.name: one.digest for one in b.config.judges}
    for one in a.config.judges:
        if one.name in digests and digests[one.name] != one.digest:
            notes.append(f"{one.name} is not the same judge in both runs: a difference can be the judge's.")
    return notes


def _judge(
    name: str,
    a: EvaluationResult,
    b: EvaluationResult,
    pairs: Sequence[tuple[int, int]],
    how: Mapping[str, Any],
    n_swaps: int,
) -> JudgeComparison:
    said_a, said_b = a.judgements(name), b.judgements(name)
    value_type = a.value_type(name)
    both: list[tuple[Value, Value]] = []
    places: list[str] = []
    counts = {"only_a": 0, "only_b": 0, "neither": 0}
    for i, j in pairs:
        left, right = said_a[i], said_b[j]
        if isinstance(left, Scored) and isinstance(right, Scored):
            both.append((left.value, right.value))
            places.append(a.rows[i].group)
        else:
            counts[_where(left, right)] += 1
    group = group_codes(places)
    made = JudgeComparison(
        judge=name,
        kind=value_type.kind,
        n_pairs=len(both),
        n_groups=len(set(places)),
        only_a=counts["only_a"],
        only_b=counts["only_b"],
        neither=counts["neither"],
        differences=[],
        p_value=None,
        test=None,
        row_p=None,
        row_test=None,
        swap_p=None,
        swap_test=None,
    )
    if not both:
        return made.model_copy(update={"reason": "No row was judged in both runs."})
    if value_type.scale == "free":
        return made.model_copy(update={"reason": f"{value_type.kind} verdicts have no test."})
    shifts, by_row, difference = _measured(both, group, value_type, how)
    swapped = swap_test(difference, group, n_swaps=n_swaps, seed=how["seed"])
    alone = made.n_groups == made.n_pairs and by_row.p_value is not None
    decides = by_row if alone else swapped
    return made.model_copy(
        update={
            "differences": shifts,
            "p_value": decides.p_value,
            "test": decides.name,
            "row_p": by_row.p_value,
            "row_test": by_row.name,
            "swap_p": swapped.p_value,
            "swap_test": swapped.name,
            "reason": decides.reason,
        }
    )


def _where(left: Judgement, right: Judgement) -> str:
    if isinstance(left, Scored):
        return "only_a"
    return "only_b" if isinstance(right, Scored) else "neither"


def _measured(
    both: Sequence[tuple[Value, Value]], group: IntArray, value_type: ValueType, how: Mapping[str, Any]
) -> tuple[list[Shift], Test, FloatArray]:
    """Figures of both runs, the test by rows, and the difference of each row [n] or [n, k]."""
    positive = positive_label(value_type)
    if value_type.scale == "nominal" and positive is None:
        labels = value_type.choices()
        code = {label: k for k, label in enumerate(labels)}
        codes = np.array(
            [[code[value_type.text_of(value)] for value in pair] for pair in both], dtype=np.int64
        )
        eye = np.eye(len(labels))
        of_a, of_b = eye[codes[:, 0]], eye[codes[:, 1]]
        shifts = [
            _shift(f"share/{label}", of_a[:, k], of_b[:, k], group, how, rate=True)
            for k, label in enumerate(labels)
        ]
        return shifts, homogeneity_test(codes[:, 0], codes[:, 1], len(labels)), of_b - of_a

    def number(value: Value) -> float | None:
        return (
            value_type.number_of(value) if positive is None else float(value_type.text_of(value) == positive)
        )

    numbers = np.array([[number(value) for value in pair] for pair in both], dtype=np.float64)
    a, b = numbers[:, 0], numbers[:, 1]
    rate = positive is not None
    name = "mean_rank" if value_type.kind == "ordinal" else "mean"
    shift = _shift(name, a, b, group, how, rate=rate)
    return [shift], (mcnemar_test if rate else wilcoxon_test)(a, b), b - a


def _shift(
    name: str, a: FloatArray, b: FloatArray, group: IntArray, how: Mapping[str, Any], *, rate: bool
) -> Shift:
    of = share if rate else mean
    return Shift(
        name=name, a=of(a, group, **how), b=of(b, group, **how), difference=mean(b - a, group, **how)
    )


def _verdict(one: JudgeComparison, a: str, b: str, alpha: float) -> str:
    if one.p_adjusted is None:
        return f"{one.judge}: not compared. {one.reason}"
    p = f"p = {one.p_adjusted:.3f}" if one.p_adjusted >= 0.001 else "p < .001"
    if one.p_adjusted > alpha:
        return f"{one.judge}: no difference shown ({p})."
    if len(one.differences) > 1:
        return f"{one.judge}: the labels are distributed differently ({p})."
    shift = one.differences[0].difference
    side = "higher" if (shift.value or 0.0) > 0 else "lower"
    return f"{one.judge}: {b} is {side} than {a}: {shift.text('number')}, {p}."
