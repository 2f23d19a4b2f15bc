"""`validate`: everything that held-out labels say about a new judge and the one it would replace."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from judge_opt.core.errors import DataError, LeakageError, UsageError
from judge_opt.core.hashing import content_hash
from judge_opt.core.results import Judgement, Scored, Value
from judge_opt.core.values import ValueType
from judge_opt.validate.agreement import Agreement, measure_agreement
from judge_opt.validate.baselines import Baseline, BaselineName, fit_baselines
from judge_opt.validate.calibration import Calibration, measure_calibration
from judge_opt.validate.ceiling import Ceiling, human_ceiling
from judge_opt.validate.compare import Comparison, compare_judges
from judge_opt.validate.figures import Figure, Strict, figure
from judge_opt.validate.gate import Decision, GatePolicy, decide
from judge_opt.validate.headline import headline
from judge_opt.validate.metrics import MetricName, metrics_for, primary_metric
from judge_opt.validate.pairs import FloatArray, check_lengths, encode

FEW_GROUPS = 20

_ZERO_FOR_A_CONSTANT = frozenset(
    {"kappa", "kappa_linear", "kappa_quadratic", "mcc", "ccc", "spearman", "kendall"}
)


@dataclass(frozen=True, slots=True)
class TrainRows:
    """The labelled rows that the judge was aligned on: what the baselines learn from.

    Attributes:
        gold, groups: one entry a row.
        vectors: embeddings [m, d] of the items; None for no text baselines.
        lengths: characters of the judged output of each row; None for no length baseline.
    """

    gold: Sequence[Value]
    groups: Sequence[str]
    vectors: FloatArray | None = None
    lengths: Sequence[int] | None = None


class BaselineFigures(Strict):
    """A baseline on the test rows, as the judges are measured."""

    name: BaselineName
    agreement: Figure
    primary: Figure


class ValidationReport(Strict):
    """The held-out comparison of two judges. JSON round trip: `model_dump_json`, `model_validate_json`.

    Attributes:
        rows_digest: content hash of the sorted row ids: which rows the figures stand on.
        noun: what a row is, in the plural.
        n_rows, n_groups: held-out rows with a label, and their groups.
        n_contested: rows on which the raters tied; they have no label and enter the human ceiling only.
        metric: the metric of the gate, of `ceiling.primary` and of the baselines' `primary`.
        before, after: each judge on the rows that it scored.
        comparison: both judges on the rows that both scored.
        baselines: empty where no train rows were given.
        notes: what a reader must know to read the figures.
        headline: the conclusion in one or two sentences.
    """

    schema_version: Literal[1] = 1
    rows_digest: str
    value_type: str
    noun: str
    n_rows: int
    n_groups: int
    n_contested: int
    metric: MetricName
    before: Agreement
    after: Agreement
    comparison: Comparison
    ceiling: Ceiling
    baselines: list[BaselineFigures]
    calibration_before: Calibration
    calibration_after: Calibration
    policy: GatePolicy
    decision: Decision
    notes: list[str]
    headline: str
    seed: int
    n_boot: int


def validate(
    gold: Sequence[Value | None],
    before: Sequence[Judgement],
    after: Sequence[Judgement],
    groups: Sequence[str],
    value_type: ValueType,
    *,
    ids: Sequence[str],
    raters_votes: Sequence[Mapping[str, Value]] | None = None,
    train: TrainRows | None = None,
    test_vectors: FloatArray | None = None,
    test_lengths: Sequence[int] | None = None,
    seed: int = 0,
    n_boot: int = 2000,
    policy: GatePolicy | None = None,
    noun: str = "rows",
) -> ValidationReport:
    """Measure both judges on held-out rows, compare them, and decide.

    Args:
        gold: the human label of each row; None where the raters tied.
        before, after: judgements of the untouched and of the aligned judge.
        groups: the group of each row (session, prompt, article).
        ids: the row ids, unique.
        raters_votes: for each row, rater to vote, for the human ceiling.
        train: for the baselines; none of its groups may be among `groups`.
        test_vectors, test_lengths: like those of `train`, for the held-out rows.
        n_boot: bootstrap resamples; 0 for no intervals, and then nothing is promoted.

    Raises:
        UsageError: the policy's metric does not apply to the value type.
        DataError: the columns differ in length, an id occurs twice, a value is not of the value type.
        LeakageError: a group stands in train and in the held-out rows.
    """
    policy = policy or GatePolicy()
    metric = policy.metric or primary_metric(value_type)
    if metric not in metrics_for(value_type):
        raise UsageError(
            f"The gate's metric {metric} does not apply to {value_type.kind} values.",
            f"Take one of: {', '.join(metrics_for(value_type))}.",
        )
    check_lengths(gold=gold, before=before, after=after, groups=groups, ids=ids)
    if twice := [i for i, count in Counter(ids).items() if count > 1]:
        raise DataError(f"Row id {twice[0]!r} occurs more than once.", "Give each held-out row its own id.")
    if train is not None and (both := sorted(set(train.groups) & set(groups))):
        raise LeakageError(
            f"{len(both)} groups stand in train and in the held-out rows, the first is {both[0]!r}.",
            "Split by group, so that no conversation or prompt is on two sides.",
        )
    keep = [i for i, label in enumerate(gold) if label is not None]
    truth = [label for label in gold if label is not None]
    old, new = [before[i] for i in keep], [after[i] for i in keep]
    place = [groups[i] for i in keep]
    measured_old, measured_new = (
        measure_agreement(truth, judged, place, value_type, n_boot=n_boot, seed=seed) for judged in (old, new)
    )
    comparison = compare_judges(truth, old, new, place, value_type, metric=metric, n_boot=n_boot, seed=seed)
    cheap = _baselines(train, len(gold), value_type, test_vectors, test_lengths)
    measured = [_baseline(b, truth, keep, place, value_type, metric, n_boot, seed) for b in cheap]
    ceiling = human_ceiling(
        # Contested rows too: without the rows on which people disagree, they would always agree.
        list(raters_votes) if raters_votes is not None else [{} for _ in gold],
        list(groups),
        value_type,
        metric=metric,
        n_boot=n_boot,
        seed=seed,
    )
    constant = constant_value(metric, truth, place, value_type, measured)
    decision = decide(measured_new.coverage, comparison, measured_new.metrics[metric], constant, policy)
    return ValidationReport(
        rows_digest=content_hash(sorted(ids[i] for i in keep)),
        value_type=value_type.describe(),
        noun=noun,
        n_rows=len(keep),
        n_groups=len(set(place)),
        n_contested=len(gold) - len(keep),
        metric=metric,
        before=measured_old,
        after=measured_new,
        comparison=comparison,
        ceiling=ceiling,
        baselines=measured,
        calibration_before=measure_calibration(truth, old, value_type),
        calibration_after=measure_calibration(truth, new, value_type),
        policy=policy,
        decision=decision,
        notes=_notes(len(set(place)), len(gold) - len(keep), measured_old, measured_new, ceiling, noun),
        headline=headline(comparison, decision, len(keep), noun),
        seed=seed,
        n_boot=n_boot,
    )


def _baselines(
    train: TrainRows | None,
    n_test: int,
    value_type: ValueType,
    vectors: FloatArray | None,
    lengths: Sequence[int] | None,
) -> list[Baseline]:
    if train is None:
        return []
    return fit_baselines(
        train.gold,
        train.groups,
        n_test,
        value_type,
        train_vectors=train.vectors,
        test_vectors=vectors,
        train_lengths=train.lengths,
        test_lengths=lengths,
    )


def _baseline(
    baseline: Baseline,
    gold: Sequence[Value],
    keep: Sequence[int],
    groups: Sequence[str],
    value_type: ValueType,
    metric: MetricName,
    n_boot: int,
    seed: int,
) -> BaselineFigures:
    pairs = encode(gold, [baseline.judged[i] for i in keep], groups, value_type)

    def of(name: MetricName) -> Figure:
        return figure(name, pairs, value_type, n_boot=n_boot, seed=seed)

    return BaselineFigures(name=baseline.name, agreement=of("agreement"), primary=of(metric))


def constant_value(
    metric: MetricName,
    gold: Sequence[Value],
    groups: Sequence[str],
    value_type: ValueType,
    measured: Sequence[BaselineFigures],
) -> float | None:
    """What always giving one label has in the gate's metric: 0 where chance is corrected for, else the
    constant baseline's figure, or without train rows that of the most frequent held-out label."""
    if metric in _ZERO_FOR_A_CONSTANT:
        return 0.0
    for baseline in measured:
        if baseline.name == "constant":
            return baseline.primary.value
    if not gold:
        return None
    label = Counter(gold).most_common(1)[0][0]
    pairs = encode(gold, [Scored(label)] * len(gold), groups, value_type)
    return figure(metric, pairs, value_type, n_boot=0).value


def _notes(
    n_groups: int, n_contested: int, before: Agreement, after: Agreement, ceiling: Ceiling, noun: str
) -> list[str]:
    notes = []
    if n_contested:
        notes.append(
            f"{n_contested} {noun} have no majority among their raters: no judge can be held against them. They "
            "enter the human ceiling and no other figure."
        )
    for who, judge in (("untouched", before), ("aligned", after)):
        if judge.unscored:
            why = ", ".join(f"{count} {reason}" for reason, count in judge.unscored.items())
            notes.append(
                f"The {who} judge left {sum(judge.unscored.values())} of {judge.n_rows} {noun} unscored "
                f"({why}). They count against coverage and enter no other figure."
            )
    if 0 < n_groups < FEW_GROUPS:
        notes.append(
            f"The rows come from {n_groups} groups. With so few, intervals are too narrow: in our "
            "simulation with 10 groups a 95 % interval held the truth in about 90 % of the runs."
        )
    if ceiling.pooled:
        notes.append("No rater has ten rows shared with others, so the human ceiling pools all raters.")
    return notes
