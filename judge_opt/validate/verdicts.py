"""A report on any verdicts: recorded judges, or any two sets of them, without an alignment.

    report = validate_verdicts(examples, verdicts, preference("1", "2", tie="tie"))
    print(report.headline)

`examples` are labelled rows, `verdicts` judges by name, each with its judgements by row id. The first of two judges,
or `reference`, is what the others are compared with, on rows that both scored, corrected for how many they are.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from judge_opt.core.errors import DataError, UsageError
from judge_opt.core.hashing import content_hash
from judge_opt.core.results import Judgement, Value
from judge_opt.core.text import nearest
from judge_opt.core.values import BOOL, ValueType
from judge_opt.labels.examples import LabelledExample
from judge_opt.validate import cross_fitted
from judge_opt.validate.agreement import measure_agreement
from judge_opt.validate.alternative_annotators import alt_test
from judge_opt.validate.calibration import measure_calibration
from judge_opt.validate.cards import alpha_figure, alpha_with_judge, lean_figure, vote_shares, without_ties
from judge_opt.validate.ceiling import human_ceiling
from judge_opt.validate.compare import compare_judges, holm
from judge_opt.validate.corrected import corrected_rate
from judge_opt.validate.corrected_estimate import Corrected
from judge_opt.validate.equivalence import margin_test
from judge_opt.validate.gate import Decision, GatePolicy, decide
from judge_opt.validate.gate_checks import Evidence
from judge_opt.validate.juries import jury_worth
from judge_opt.validate.metrics import MetricName, metrics_for, primary_metric
from judge_opt.validate.positions import position_figures
from judge_opt.validate.recorded import Verdicts
from judge_opt.validate.report_data import constant_value
from judge_opt.validate.selective import accept_threshold, risk_coverage
from judge_opt.validate.soft_labels import soft_scores
from judge_opt.validate.verdict_parts import (
    Context,
    Rows,
    baselines,
    constant_test,
    measured,
    observed_biases,
    slice_figures,
    worst_rows,
)
from judge_opt.validate.verdict_report import JudgeSheet, VerdictReport
from judge_opt.validate.verdict_words import headline, notes

MOST_JUDGES_IN_A_JURY = 60
_TARGET = 0.9


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
    rows = Rows.of(examples, value_type)
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
    cheap = baselines(rows, context, given, base_name or names[0], value_type, metric, settings)
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
        people_alpha=alpha_figure(examples, value_type, **settings),
        baselines=cheap,
        constant_test=constant_test(rows, examples, value_type, epsilon),
        judges=sheets,
        reference=base_name,
        jury=jury,
        slices=slice_figures(context, given, rows, value_type, settings),
        policy=policy,
        decision=decision,
        notes=[],
        headline="",
        **settings,
    )
    return report.model_copy(update={"headline": headline(report), "notes": notes(report)})


def _positive(value_type: ValueType) -> Value | None:
    if value_type == BOOL:
        return True
    return value_type.labels[0] if value_type.kind in ("nominal", "pairwise") else None


def _sheet(
    name: str,
    own: Verdicts,
    rows: Rows,
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
    shares = [vote_shares(votes, value_type) for votes in rows.votes]
    soft = (
        soft_scores(shares, judged, groups, value_type, **settings)
        if several and value_type.is_choice
        else None
    )
    return JudgeSheet(
        name=name,
        agreement=measure_agreement(gold, judged, groups, value_type, **settings),
        lean=lean_figure(gold, judged, groups, value_type, **settings),
        without_ties=without_ties(gold, judged, groups, value_type, **settings),
        calibrated=measured(
            cross_fitted.calibrated_judge(gold, groups, judged, value_type),
            rows,
            value_type,
            metric,
            settings,
        ),
        alpha_with_people=alpha_with_judge(rows.votes, judged, groups, value_type, **settings),
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
        biases=[
            *observed_biases(name, judged, rows, value_type, context, settings),
            *context.biases.get(name, ()),
        ],
        learned_from=None
        if name not in context.learned_from
        else len(context.learned_from[name] & set(rows.ids)),
        worst=worst_rows(rows, judged, value_type),
    )


def _corrected(
    own: Verdicts, rows: Rows, judged: Sequence[Judgement], value_type: ValueType, positive: Value, seed: int
) -> Corrected:
    """Over the labelled rows and those that nobody labelled; a contested row is neither."""
    more = [i for i in own.judged if i not in rows.known]
    return corrected_rate(
        [*rows.gold, *([None] * len(more))], [*judged, *(own.judged[i] for i in more)], [*rows.groups, *more],
        value_type, positive=positive, seed=seed,
    )  # fmt: skip


def _compared(
    sheets: list[JudgeSheet],
    reference: str | None,
    given: Mapping[str, Verdicts],
    rows: Rows,
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
    rows: Rows,
    value_type: ValueType,
    metric: MetricName,
    context: Context,
) -> Decision:
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
