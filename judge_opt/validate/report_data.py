"""`validate`: everything that held-out labels say about a new judge and the one it would replace."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from judge_opt.core.errors import DataError, LeakageError, UsageError
from judge_opt.core.hashing import content_hash
from judge_opt.core.results import Judgement, Scored, Value
from judge_opt.core.values import BOOL, ValueType
from judge_opt.validate.agreement import Agreement, measure_agreement
from judge_opt.validate.alternative_annotators import AltTest, alt_test
from judge_opt.validate.baselines import Baseline, BaselineName, fit_baselines
from judge_opt.validate.bias import BiasTest, length_lean
from judge_opt.validate.calibration import Calibration, measure_calibration
from judge_opt.validate.cards import alpha_with_judge, lean_figure
from judge_opt.validate.ceiling import Ceiling, human_ceiling
from judge_opt.validate.compare import Comparison, compare_judges
from judge_opt.validate.equivalence import margin_test
from judge_opt.validate.figures import Figure, Strict, figure
from judge_opt.validate.gate import Decision, GatePolicy, decide
from judge_opt.validate.gate_checks import Evidence
from judge_opt.validate.headline import headline
from judge_opt.validate.metrics import MetricName, metrics_for, primary_metric
from judge_opt.validate.pairs import FloatArray, check_lengths, encode
from judge_opt.validate.selective import AcceptRule, RiskCoverage, accept_threshold, risk_coverage

FEW_GROUPS = 20

_TARGET = 0.9
"""Agreement that `JudgeCardFigures.rule` certifies."""

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
        judged: what the untouched judge says of each row; None for no baseline of the calibrated judge.
    """

    gold: Sequence[Value]
    groups: Sequence[str]
    vectors: FloatArray | None = None
    lengths: Sequence[int] | None = None
    judged: Sequence[Judgement] | None = None


class JudgeCardFigures(Strict):
    """What a reliability card holds besides agreement and calibration.

    Attributes:
        lean: mean of judge minus human; of yes/no the difference of the shares of yes.
        alpha_with_people: Krippendorff's alpha with the judge as one more rater.
        alt_test: may it replace a rater? None where rows have one.
        curve, rule: what its confidence is worth, and where it may decide alone at 90 % agreement.
        biases: observed in these verdicts, without a call; see bias.py.
    """

    lean: Figure
    alpha_with_people: Figure
    alt_test: AltTest | None = None
    curve: RiskCoverage
    rule: AcceptRule
    biases: list[BiasTest] = Field(default_factory=list)


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
        card_before, card_after: reliability cards; None in reports of earlier releases.
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
    card_before: JudgeCardFigures | None = None
    card_after: JudgeCardFigures | None = None
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
    cheap = _baselines(train, before, value_type, test_vectors, test_lengths)
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
    votes = [dict(raters_votes[i]) if raters_votes is not None else {} for i in keep]
    lengths = None if test_lengths is None else [test_lengths[i] for i in keep]
    cards = [
        _card(truth, judged, place, votes, lengths, value_type, n_boot, seed)
        for judged in ((old,) if new is old else (old, new))
    ]
    margin = None
    if policy.margin is not None:
        margin = margin_test(
            truth, old, new, place, value_type, margin=policy.margin, metric=metric, alpha=policy.level
        )
    evidence = Evidence(
        agreement=measured_new.metrics.get("agreement"),
        lean=cards[-1].lean,
        margin=margin,
        biases=cards[-1].biases,
        learned_from=None if train is None else 0,  # a row on both sides was refused above
    )
    decision = decide(
        measured_new.coverage, comparison, measured_new.metrics[metric], constant, policy, evidence=evidence
    )
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
        card_before=cards[0],
        card_after=cards[-1],
        policy=policy,
        decision=decision,
        notes=_notes(len(set(place)), len(gold) - len(keep), measured_old, measured_new, ceiling, noun),
        headline=headline(comparison, decision, len(keep), noun),
        seed=seed,
        n_boot=n_boot,
    )


def _baselines(
    train: TrainRows | None,
    before: Sequence[Judgement],
    value_type: ValueType,
    vectors: FloatArray | None,
    lengths: Sequence[int] | None,
) -> list[Baseline]:
    if train is None:
        return []
    return fit_baselines(
        train.gold,
        train.groups,
        len(before),
        value_type,
        train_vectors=train.vectors,
        test_vectors=vectors,
        train_lengths=train.lengths,
        test_lengths=lengths,
        train_judged=train.judged,
        test_judged=before,
    )


def _card(
    gold: Sequence[Value],
    judged: Sequence[Judgement],
    groups: Sequence[str],
    votes: Sequence[Mapping[str, Value]],
    lengths: Sequence[int] | None,
    value_type: ValueType,
    n_boot: int,
    seed: int,
) -> JudgeCardFigures:
    several = max((len(own) for own in votes), default=0) > 1
    ordered = value_type == BOOL or value_type.scale in ("ordered", "numeric")
    biases = []
    if lengths is not None and ordered and gold:
        biases.append(length_lean(gold, judged, lengths, groups, value_type, n_boot=n_boot, seed=seed))
    if any(votes) and value_type.scale != "free":
        alpha = alpha_with_judge(votes, judged, groups, value_type, n_boot=n_boot, seed=seed)
    else:
        alpha = Figure(value=None, reason="The raters' own votes are not known.")
    return JudgeCardFigures(
        lean=lean_figure(gold, judged, groups, value_type, n_boot=n_boot, seed=seed),
        alpha_with_people=alpha,
        alt_test=alt_test(votes, judged, groups, value_type) if several else None,
        curve=risk_coverage(gold, judged),
        rule=accept_threshold(gold, judged, target=_TARGET, groups=groups, seed=seed),
        biases=biases,
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
            f"The rows come from {n_groups} groups. Intervals are widened for so few, and still rest on all groups "
            "being of one kind: see docs/statistics.md."
        )
    if ceiling.pooled:
        notes.append("No rater has ten rows shared with others, so the human ceiling pools all raters.")
    return notes
