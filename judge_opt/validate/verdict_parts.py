"""The parts of a report on verdicts that are about the rows: baselines, slices, biases in sight, worst rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from judge_opt.core.errors import DataError
from judge_opt.core.results import Judgement, Scored, Unscored, Value
from judge_opt.core.values import BOOL, ValueType
from judge_opt.labels.examples import LabelledExample
from judge_opt.validate import cross_fitted
from judge_opt.validate.alternative_annotators import AltTest, alt_test
from judge_opt.validate.bias import BiasTest, length_lean, self_preference
from judge_opt.validate.figures import Figure, figure
from judge_opt.validate.metrics import MetricName
from judge_opt.validate.pairs import FloatArray, encode
from judge_opt.validate.recorded import Verdicts
from judge_opt.validate.repeats import Stability
from judge_opt.validate.verdict_report import CrossFittedFigures, SliceFigures, SliceLine, Worst

WORST = 20


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


@dataclass(frozen=True)
class Rows:
    """The rows with a majority; `known` are the ids of all, contested ones among them."""

    ids: list[str]
    gold: list[Value]
    groups: list[str]
    votes: list[dict[str, Value]]
    known: frozenset[str]

    @classmethod
    def of(cls, examples: Sequence[LabelledExample], value_type: ValueType) -> "Rows":
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


def measured(
    judged: Sequence[Judgement],
    rows: Rows,
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


def baselines(
    rows: Rows,
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
        measured(judged, rows, value_type, metric, settings).model_copy(update={"name": name})
        for name, judged in made.items()
    ]


def constant_test(
    rows: Rows, examples: Sequence[LabelledExample], value_type: ValueType, epsilon: float
) -> AltTest | None:
    """The alternative annotator test of a judge that always says the most frequent label."""
    if max((len(v) for v in rows.votes), default=0) < 2 or not value_type.is_choice:
        return None
    votes = [value for v in rows.votes for value in v.values()]
    most = max(dict.fromkeys(votes), key=votes.count)
    return alt_test(rows.votes, [Scored(most)] * len(rows.ids), rows.groups, value_type, epsilon=epsilon)


def observed_biases(
    name: str,
    judged: Sequence[Judgement],
    rows: Rows,
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


def slice_figures(
    context: Context,
    given: Mapping[str, Verdicts],
    rows: Rows,
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


def worst_rows(rows: Rows, judged: Sequence[Judgement], value_type: ValueType) -> list[Worst]:
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
