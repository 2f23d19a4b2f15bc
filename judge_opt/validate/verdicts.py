"""A report on any verdicts: recorded judges, or any two sets of them, without an alignment.

    report = validate_verdicts(examples, verdicts, preference("1", "2", tie="tie"))
    print(report.headline)

`examples` are labelled rows, `verdicts` judges by name, each with its judgements by row id. The first of two judges,
or `reference`, is what the others are compared with, on rows that both scored, corrected for how many they are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from judge_opt.core.errors import DataError, UsageError
from judge_opt.core.hashing import content_hash
from judge_opt.core.results import Judgement, Scored, Unscored, Value
from judge_opt.core.text import nearest
from judge_opt.core.values import BOOL, ValueType
from judge_opt.labels.examples import LabelledExample
from judge_opt.labels.raters.alpha import alpha_of_weights, krippendorff_alpha
from judge_opt.labels.raters.ratings import Ratings
from judge_opt.validate import cross_fitted
from judge_opt.validate.agreement import measure_agreement
from judge_opt.validate.alternative_annotators import AltTest, alt_test
from judge_opt.validate.bias import BiasTest, length_lean, self_preference
from judge_opt.validate.calibration import measure_calibration
from judge_opt.validate.ceiling import human_ceiling
from judge_opt.validate.compare import compare_judges, holm
from judge_opt.validate.corrected import corrected_rate
from judge_opt.validate.corrected_estimate import Corrected
from judge_opt.validate.equivalence import margin_test
from judge_opt.validate.figures import Figure, figure
from judge_opt.validate.gate import GatePolicy, decide
from judge_opt.validate.gate_checks import Evidence
from judge_opt.validate.intervals import cluster_interval
from judge_opt.validate.juries import jury_worth
from judge_opt.validate.means import mean_figure
from judge_opt.validate.metrics import MetricName, metrics_for, primary_metric
from judge_opt.validate.pairs import FloatArray, encode
from judge_opt.validate.positions import position_figures
from judge_opt.validate.recorded import Verdicts
from judge_opt.validate.report_data import constant_value
from judge_opt.validate.selective import accept_threshold, risk_coverage
from judge_opt.validate.soft_labels import soft_scores
from judge_opt.validate.stability import Stability
from judge_opt.validate.verdict_report import (
    CrossFittedFigures,
    JudgeSheet,
    SliceFigures,
    SliceLine,
    VerdictReport,
    Worst,
)
from judge_opt.validate.verdict_words import headline, notes

MOST_JUDGES_IN_A_JURY = 60
WORST = 20
_TARGET = 0.9


@dataclass(frozen=True, slots=True)
class Context:
    """What is known of the rows besides labels and verdicts, each optional.

    Attributes:
        lengths: characters of what is judged, by row id; for a preference the first output's less the
            second's.
        vectors: embeddings by row id, for the text baseline.
        slices: slice name (a path such as inputs.subset) to row id to value.
        own: judge name to the ids of the rows whose text is by its own model.
        stability: judge name to what repeats showed. biases: judge name to audits that were run.
        learned_from: judge name to the ids that it learned from; a judge that is not in it is not known.
    """

    lengths: Mapping[str, float] = field(default_factory=dict)
    vectors: Mapping[str, FloatArray] = field(default_factory=dict)
    slices: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    own: Mapping[str, frozenset[str]] = field(default_factory=dict)
    stability: Mapping[str, Stability] = field(default_factory=dict)
    biases: Mapping[str, Sequence[BiasTest]] = field(default_factory=dict)
    learned_from: Mapping[str, frozenset[str]] = field(default_factory=dict)


def validate_verdicts(
    examples: Sequence[LabelledExample],
    verdicts: Mapping[str, Verdicts | Mapping[str, Judgement]],
    value_type: ValueType,
    *,
    reference: str | None = None,
    policy: GatePolicy | None = None,
    context: Context | None = None,
    positive: Value | None = None,
    epsilon: float = 0.2,
    title: str = "",
    noun: str = "rows",
    n_boot: int = 2000,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> VerdictReport:
    """Measure every judge, compare each with the reference, and say what the gate says of the last named.

    Args:
        examples: labelled rows; the gold label is the majority of the votes, ties are contested.
        verdicts: judge name to judgements by row id. A row without one is Unscored("missing_input").
        reference: what the other judges are compared with; default: the first of two, none of several.
        policy: with a gate, the decision is on the one judge beside the reference (or the only judge).
        positive: for which label the corrected rate is told; default: true, or the first label.
        epsilon: of the alternative annotator test.
        noun: what a row is, in the plural.
        progress: told of (judge, judges done, in all).

    Raises:
        DataError: no judge, no labelled row, verdicts of no row among the examples, or a bad value.
        UsageError: an unknown reference, a metric that does not apply, or a gate for more than one judge.
    """
    names = list(verdicts)
    if not names:
        raise DataError("There are no verdicts to validate.", "Give at least one judge.")
    if reference is not None and reference not in names:
        raise UsageError(
            f"There is no judge {reference[:60]!r}.{nearest(reference, names)}",
            f"Known: {', '.join(names)[:300]}.",
        )
    policy_metric = policy.metric if policy else None
    metric = policy_metric or primary_metric(value_type)
    if metric not in metrics_for(value_type):
        raise UsageError(
            f"The metric {metric} does not apply to {value_type.kind} values.",
            f"Take one of: {', '.join(metrics_for(value_type))}.",
        )
    base_name = reference or (names[0] if len(names) == 2 else None)
    if policy is not None and len(names) > 2:
        raise UsageError("A gate decides on one judge.", "Give that judge, and perhaps one to replace.")
    rows = _Rows.of(examples, value_type)
    given = {
        name: one if isinstance(one, Verdicts) else Verdicts(dict(one)) for name, one in verdicts.items()
    }
    for name, own in given.items():
        if not set(own.judged) & set(rows.ids):
            raise DataError(f"No verdict of {name[:60]!r} is on a labelled row.", "Check the ids.")
    context = context or Context()
    settings: dict[str, Any] = {"n_boot": n_boot, "seed": seed}
    counted = positive if positive is not None else _positive(value_type)
    sheets = []
    for k, name in enumerate(names):
        if progress is not None:
            progress(name, k, len(names))
        sheets.append(
            _sheet(name, given[name], rows, value_type, metric, counted, context, epsilon, settings)
        )
    if progress is not None:
        progress("comparisons", len(names), len(names))
    sheets = _compared(sheets, base_name, given, rows, value_type, metric, settings)
    ceiling = human_ceiling(
        [{v.rater: v.value for v in one.votes} for one in examples], [one.group for one in examples], value_type,
        metric=metric, **settings,
    )  # fmt: skip
    jury = None
    if 2 <= len(names) <= MOST_JUDGES_IN_A_JURY:
        judged = {name: rows.of_judge(own.judged) for name, own in given.items()}
        jury = jury_worth(rows.gold, judged, rows.groups, value_type, **settings)
    baselines = _baselines(rows, context, given, base_name or names[0], value_type, metric, settings)
    decision = None
    if policy is not None:
        decision = _decide(policy, sheets, base_name, given, rows, value_type, metric, context)
    shares = dict.fromkeys(value_type.choices(), 0)
    for label in rows.gold:
        text = value_type.text_of(label)
        if shares or value_type.is_choice:
            shares[text] = shares.get(text, 0) + 1
    report = VerdictReport(
        title=title or "Validation",
        noun=noun,
        value_type=value_type.describe(),
        rows_digest=content_hash(sorted(rows.ids)),
        n_rows=len(rows.ids),
        n_groups=len(set(rows.groups)),
        n_contested=len(examples) - len(rows.ids),
        n_raters=len({v.rater for one in examples for v in one.votes}),
        labels=shares,
        metric=metric,
        ceiling=ceiling,
        people_alpha=_alpha(examples, value_type, settings),
        baselines=baselines,
        constant_test=_constant_test(rows, examples, value_type, epsilon),
        judges=sheets,
        reference=base_name,
        jury=jury,
        slices=_slices(context, given, rows, value_type, settings),
        policy=policy,
        decision=decision,
        notes=[],
        headline="",
        **settings,
    )
    return report.model_copy(update={"headline": headline(report), "notes": notes(report)})


@dataclass(frozen=True)
class _Rows:
    """The rows with a majority; `known` are the ids of all, contested ones among them."""

    ids: list[str]
    gold: list[Value]
    groups: list[str]
    votes: list[dict[str, Value]]
    known: frozenset[str]

    @classmethod
    def of(cls, examples: Sequence[LabelledExample], value_type: ValueType) -> "_Rows":
        kept = [(one, gold) for one in examples if (gold := one.gold) is not None]
        if not kept:
            raise DataError("No row has a majority among its raters.", "Give rows with labels.")
        ids = [one.id for one, _ in kept]
        if len(set(ids)) < len(ids):
            raise DataError("A row id occurs twice.", "Give each row its own id.")
        return cls(
            ids,
            [gold for _, gold in kept],
            [one.group for one, _ in kept],
            [{v.rater: v.value for v in one.votes} for one, _ in kept],
            frozenset(one.id for one in examples),
        )

    def of_judge(self, judged: Mapping[str, Judgement]) -> list[Judgement]:
        absent = Unscored("missing_input", "no verdict on this row")
        return [judged.get(i, absent) for i in self.ids]


def _positive(value_type: ValueType) -> Value | None:
    if value_type == BOOL:
        return True
    return value_type.labels[0] if value_type.kind in ("nominal", "pairwise") else None


def _sheet(
    name: str,
    own: Verdicts,
    rows: _Rows,
    value_type: ValueType,
    metric: MetricName,
    positive: Value | None,
    context: Context,
    epsilon: float,
    settings: dict[str, Any],
) -> JudgeSheet:
    judged = rows.of_judge(own.judged)
    gold, groups = rows.gold, rows.groups
    several = max((len(v) for v in rows.votes), default=0) > 1
    rule = accept_threshold(gold, judged, target=_TARGET, groups=groups, seed=settings["seed"])
    shares = [_shares(votes, value_type) for votes in rows.votes]
    soft = (
        soft_scores(shares, judged, groups, value_type, **settings)
        if several and value_type.is_choice
        else None
    )
    return JudgeSheet(
        name=name,
        agreement=measure_agreement(gold, judged, groups, value_type, **settings),
        lean=_lean(gold, judged, groups, value_type, settings),
        without_ties=_without_ties(gold, judged, groups, value_type, settings),
        calibrated=_measured(
            cross_fitted.calibrated_judge(gold, groups, judged, value_type),
            rows,
            value_type,
            metric,
            settings,
        ),
        alpha_with_people=_alpha(_with_judge(rows, judged, name), value_type, settings),
        calibration=measure_calibration(gold, judged, value_type),
        curve=risk_coverage(gold, judged),
        rule=rule,
        alt_test=alt_test(rows.votes, judged, groups, value_type, epsilon=epsilon) if several else None,
        soft=soft,
        corrected=None
        if positive is None
        else _corrected(own, rows, judged, value_type, positive, settings["seed"]),
        positive=None if positive is None else value_type.text_of(positive),
        position=position_figures(
            judged, rows.of_judge(own.exchanged), groups, value_type, gold=gold, **settings
        )
        if own.exchanged
        else None,
        stability=context.stability.get(name),
        biases=[*_observed(name, judged, rows, value_type, context, settings), *context.biases.get(name, ())],
        learned_from=None
        if name not in context.learned_from
        else len(context.learned_from[name] & set(rows.ids)),
        worst=_worst(rows, judged, value_type),
    )


def _corrected(
    own: Verdicts, rows: _Rows, judged: Sequence[Judgement], value_type: ValueType, positive: Value, seed: int
) -> Corrected:
    """Over the labelled rows and those that nobody labelled; a contested row is neither."""
    more = [i for i in own.judged if i not in rows.known]
    return corrected_rate(
        [*rows.gold, *([None] * len(more))], [*judged, *(own.judged[i] for i in more)], [*rows.groups, *more],
        value_type, positive=positive, seed=seed,
    )  # fmt: skip


def _shares(votes: Mapping[str, Value], value_type: ValueType) -> dict[str, float]:
    texts = [value_type.text_of(v) for v in votes.values()]
    return {text: texts.count(text) / len(texts) for text in dict.fromkeys(texts)}


def _lean(
    gold: Sequence[Value],
    judged: Sequence[Judgement],
    groups: Sequence[str],
    value_type: ValueType,
    settings: Any,
) -> Figure:
    """Mean of judge minus human; for yes/no the difference of the two shares of yes."""
    rows = [(i, j.value) for i, j in enumerate(judged) if isinstance(j, Scored)]
    pairs = [(value_type.number_of(value), value_type.number_of(gold[i])) for i, value in rows]
    if any(a is None or b is None for a, b in pairs):
        return Figure(value=None, reason="The labels have no order.")
    x = np.array([a - b for a, b in pairs if a is not None and b is not None])
    group = np.unique([groups[i] for i, _ in rows], return_inverse=True)[1].astype(np.int64)
    return mean_figure(x, group, **settings)


def _without_ties(
    gold: Sequence[Value],
    judged: Sequence[Judgement],
    groups: Sequence[str],
    value_type: ValueType,
    settings: Any,
) -> Figure | None:
    """Agreement on the pairs where neither people nor the judge see a tie; None where ties are not allowed."""
    if value_type.kind != "pairwise" or len(value_type.labels) < 3:
        return None
    sides = value_type.labels[:2]
    rows = [
        i for i, j in enumerate(judged) if isinstance(j, Scored) and j.value in sides and gold[i] in sides
    ]
    x = np.array([float(j.value == gold[i]) for i in rows if isinstance(j := judged[i], Scored)])
    group = np.unique([groups[i] for i in rows], return_inverse=True)[1].astype(np.int64)
    return mean_figure(x, group, **settings)


def _with_judge(rows: _Rows, judged: Sequence[Judgement], name: str) -> list[LabelledExample]:
    """The rows with the judge as one more rater."""
    from judge_opt.labels.examples import Vote

    me = f"judge: {name}"
    out = []
    for i, votes in enumerate(rows.votes):
        said = [Vote(rater, value) for rater, value in votes.items()]
        if isinstance(j := judged[i], Scored):
            said.append(Vote(me, j.value))
        out.append(
            LabelledExample(rows.ids[i], rows.groups[i], {}, tuple(sorted(said, key=lambda v: v.rater)))
        )
    return out


def _alpha(examples: Sequence[LabelledExample], value_type: ValueType, settings: dict[str, Any]) -> Figure:
    """Krippendorff's alpha with an interval over groups."""
    ratings = Ratings.of(examples, value_type)
    found = krippendorff_alpha(ratings)
    n, groups = len(examples), [one.group for one in examples]
    if found.value is None:
        return Figure(value=None, reason=found.reason, n=n)
    of_weights = alpha_of_weights(ratings)
    base: dict[str, Any] = {"value": found.value, "n": n, "n_groups": len(set(groups))}
    if of_weights is None or not settings["n_boot"]:
        return Figure(**base, reason="No interval was made.")
    group = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    ends = cluster_interval(of_weights, group, **settings)
    return Figure(
        **base, low=ends.low, high=ends.high, method=ends.method, resamples=ends.resamples,
        degenerate=ends.degenerate, reason=ends.reason,
    )  # fmt: skip


def _measured(
    judged: Sequence[Judgement],
    rows: _Rows,
    value_type: ValueType,
    metric: MetricName,
    settings: dict[str, Any],
) -> CrossFittedFigures:
    pairs = encode(rows.gold, judged, rows.groups, value_type)
    return CrossFittedFigures(
        name="calibrated_judge",
        agreement=figure("agreement", pairs, value_type, **settings)
        if value_type.kind != "float"
        else Figure(value=None, reason="Two numbers hardly ever agree exactly."),
        primary=figure(metric, pairs, value_type, **settings),
    )


def _baselines(
    rows: _Rows,
    context: Context,
    given: Mapping[str, Verdicts],
    reference: str,
    value_type: ValueType,
    metric: MetricName,
    settings: dict[str, Any],
) -> list[CrossFittedFigures]:
    made: dict[str, Sequence[Judgement]] = {
        "constant": cross_fitted.constant(rows.gold, rows.groups, value_type)
    }
    if all(i in context.lengths for i in rows.ids):
        lengths = [context.lengths[i] for i in rows.ids]
        made["output_length"] = cross_fitted.output_length(rows.gold, rows.groups, lengths, value_type)
    if rows.ids and all(i in context.vectors for i in rows.ids):
        vectors = np.stack([context.vectors[i] for i in rows.ids])
        made["text_classifier"] = cross_fitted.text_classifier(rows.gold, rows.groups, vectors, value_type)
    return [
        _measured(judged, rows, value_type, metric, settings).model_copy(update={"name": name})
        for name, judged in made.items()
    ]


def _constant_test(
    rows: _Rows, examples: Sequence[LabelledExample], value_type: ValueType, epsilon: float
) -> AltTest | None:
    """The alternative annotator test of a judge that always says the most frequent label."""
    if max((len(v) for v in rows.votes), default=0) < 2 or not value_type.is_choice:
        return None
    votes = [value for v in rows.votes for value in v.values()]
    most = max(dict.fromkeys(votes), key=votes.count)
    return alt_test(rows.votes, [Scored(most)] * len(rows.ids), rows.groups, value_type, epsilon=epsilon)


def _observed(
    name: str,
    judged: Sequence[Judgement],
    rows: _Rows,
    value_type: ValueType,
    context: Context,
    settings: dict[str, Any],
) -> list[BiasTest]:
    """The biases that verdicts and labels show without a call."""
    ordered = value_type == BOOL or value_type.scale in ("ordered", "numeric")
    out = []
    if (ordered or value_type.kind == "pairwise") and all(i in context.lengths for i in rows.ids):
        lengths = [context.lengths[i] for i in rows.ids]
        out.append(length_lean(rows.gold, judged, lengths, rows.groups, value_type, **settings))
    if ordered and name in context.own:
        mine = [i in context.own[name] for i in rows.ids]
        out.append(self_preference(rows.gold, judged, mine, rows.groups, value_type, **settings))
    return out


def _compared(
    sheets: list[JudgeSheet],
    reference: str | None,
    given: Mapping[str, Verdicts],
    rows: _Rows,
    value_type: ValueType,
    metric: MetricName,
    settings: dict[str, Any],
) -> list[JudgeSheet]:
    """Each sheet with its comparison with the reference, p-values corrected by Holm (two directions are not
    tested: the question is "better than the reference")."""
    if reference is None:
        return sheets
    base = rows.of_judge(given[reference].judged)
    found = {
        one.name: compare_judges(
            rows.gold,
            base,
            rows.of_judge(given[one.name].judged),
            rows.groups,
            value_type,
            metric=metric,
            **settings,
        )
        for one in sheets
        if one.name != reference
    }
    adjusted = holm([1.0 if c.p_value is None else c.p_value for c in found.values()])
    holms = dict(zip(found, adjusted, strict=True))
    return [
        one
        if one.name == reference
        else one.model_copy(
            update={
                "comparison": found[one.name],
                "adjusted": None if found[one.name].p_value is None else holms[one.name],
            }
        )
        for one in sheets
    ]


def _decide(
    policy: GatePolicy,
    sheets: Sequence[JudgeSheet],
    reference: str | None,
    given: Mapping[str, Verdicts],
    rows: _Rows,
    value_type: ValueType,
    metric: MetricName,
    context: Context,
) -> Any:
    judge = next(one for one in sheets if one.name != reference or len(sheets) == 1)
    margin = None
    if policy.margin is not None and reference is not None:
        margin = margin_test(
            rows.gold, rows.of_judge(given[reference].judged), rows.of_judge(given[judge.name].judged),
            rows.groups, value_type, margin=policy.margin, metric=metric, alpha=policy.level,
        )  # fmt: skip
    evidence = Evidence(
        agreement=judge.agreement.metrics.get("agreement"),
        lean=judge.lean,
        margin=margin,
        biases=judge.biases,
        consistency=judge.position.consistent if judge.position else None,
        corrected=judge.corrected,
        stability=judge.stability,
        learned_from=judge.learned_from,
    )
    constant = constant_value(metric, rows.gold, rows.groups, value_type, [])
    after = judge.agreement.metrics[metric]
    return decide(
        judge.agreement.coverage, judge.comparison, after, constant, policy, metric=metric, evidence=evidence
    )


def _slices(
    context: Context,
    given: Mapping[str, Verdicts],
    rows: _Rows,
    value_type: ValueType,
    settings: dict[str, Any],
) -> list[SliceFigures]:
    """Agreement of each judge in each slice; slices are many, so nothing is tested."""
    if value_type.kind == "float":
        return []
    out = []
    for path, values in context.slices.items():
        lines = []
        for value in sorted({values.get(i, "(none)") for i in rows.ids}):
            at = [k for k, i in enumerate(rows.ids) if values.get(i, "(none)") == value]
            figures = {}
            for name, own in given.items():
                pairs = encode(
                    [rows.gold[k] for k in at],
                    [own.judged.get(rows.ids[k], Unscored("missing_input")) for k in at],
                    [rows.groups[k] for k in at],
                    value_type,
                )
                figures[name] = figure("agreement", pairs, value_type, **settings)
            lines.append(SliceLine(value=value[:120], n=len(at), agreement=figures))
        out.append(SliceFigures(path=path, lines=lines))
    return out


def _worst(rows: _Rows, judged: Sequence[Judgement], value_type: ValueType) -> list[Worst]:
    """The rows on which the judge is furthest from people: by distance, then where people were most of one
    mind, then where the judge was surest."""
    ranked = []
    for i, j in enumerate(judged):
        if not isinstance(j, Scored) or j.value == rows.gold[i]:
            continue
        a, b = value_type.number_of(j.value), value_type.number_of(rows.gold[i])
        apart = abs(a - b) if a is not None and b is not None else 1.0
        share = list(rows.votes[i].values()).count(rows.gold[i]) / len(rows.votes[i])
        ranked.append((-apart, -share, -(j.confidence or 0.0), rows.ids[i], i, j))
    return [
        Worst(
            id=rows.ids[i],
            human=value_type.text_of(rows.gold[i]),
            votes={rater: value_type.text_of(v) for rater, v in sorted(rows.votes[i].items())},
            said=value_type.text_of(j.value),
            confidence=j.confidence,
        )
        for *_, i, j in sorted(ranked, key=lambda one: one[:4])[:WORST]
    ]
