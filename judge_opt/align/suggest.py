"""What to label next: rows of which the judge is not sure, on which candidates differ, unlike those known.

    for pick in suggest(judge, unlabelled, 20):
        print(pick.index, pick.why)

Rows that were picked like this teach; they do not measure. A figure on them is too low or too high, so keep
rows that were drawn at random for `validate_judges`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from judge_opt.core.errors import UsageError
from judge_opt.core.results import Judgement, Scored, Unscored
from judge_opt.core.values import ValueType
from judge_opt.judges.judge import Judge
from judge_opt.labels.examples import LabelledExample
from judge_opt.llm.session import current_session
from judge_opt.memory.vectors import ItemEmbedder

Floats = npt.NDArray[np.float64]
WAYS = ("uncertainty", "disagreement", "coverage")


@dataclass(frozen=True, slots=True)
class Pick:
    """One row to label.

    Attributes:
        index: its place in what was given.
        uncertainty: entropy of the judge's label probabilities, as a share of the most; None where it gives none.
        disagreement: share of pairs of judges that differ; None where there is one judge.
        distance: to the nearest row that is labelled or was picked before, in [0, 2]; None where not asked for.
        why: in words.
    """

    index: int
    uncertainty: float | None
    disagreement: float | None
    distance: float | None
    why: str


def suggest(
    judge: Judge,
    unlabelled: Sequence[Any],
    k: int,
    *,
    candidates: Sequence[Judge] = (),
    labelled: Sequence[LabelledExample] = (),
    by: Sequence[str] = WAYS,
    embedder: str = "local:/minilm",
    pool: int = 500,
    seed: int = 0,
    concurrency: int = 8,
) -> list[Pick]:
    """`k` rows to label, the most useful first.

    Args:
        unlabelled: items as of `Judge.judge_item`; each is judged once by the judge and by every candidate
            (nothing is asked where `by` is coverage alone).
        candidates: other judges of the same values, such as what other optimizers made: where they differ, a
            label tells which is right.
        labelled: rows that have labels, to keep away from.
        by: which of `WAYS` count. What cannot be had (no probabilities, no candidates) does not count.
        embedder: URI of the embedding model, for coverage.
        pool: at most this many of the rows are looked at, drawn by `seed`.

    Raises:
        UsageError: no such way; nothing to pick from.
    """
    if unknown := [way for way in by if way not in WAYS]:
        raise UsageError(f"No way is called {unknown[0]!r}.", f"Use {', '.join(WAYS)}.")
    if k < 1 or not unlabelled or not by:
        raise UsageError("There is nothing to pick.", "Give rows, a k of at least 1, and a way.")
    rng = np.random.default_rng(seed)
    drawn = sorted(rng.permutation(len(unlabelled))[:pool].tolist())
    items = [unlabelled[i] for i in drawn]
    fits = [i for i, item in enumerate(items) if not isinstance(judge.parts(item), Unscored)]
    value = np.zeros(len(items))
    unsure: list[float | None] = [None] * len(items)
    differ: list[float | None] = [None] * len(items)
    if "uncertainty" in by or "disagreement" in by:
        judges = [judge, *(candidates if "disagreement" in by else ())]
        said = [[f.result for f in one.batch(items, concurrency=concurrency)] for one in judges]
        if "uncertainty" in by:
            unsure = [entropy(j, judge.value_type) for j in said[0]]
        if len(judges) > 1:
            differ = [_differ([own[i] for own in said], judge.value_type) for i in range(len(items))]
        value = np.mean([_ranks(unsure), _ranks(differ)], axis=0) if any(_known(differ)) else _ranks(unsure)
    vectors: Floats | None = None
    if "coverage" in by:
        vectors = _vectors(judge, [items[i] for i in fits], labelled, embedder)
    picks: list[Pick] = []
    taken: set[int] = set()
    near = None if vectors is None else _nearest(vectors[: len(fits)], vectors[len(fits) :])
    order = rng.permutation(len(fits))
    for _ in range(min(k, len(fits))):
        scores = value[fits].copy()
        if vectors is not None and near is not None:
            far = np.where(np.isfinite(near), near, 1.0)
            scores = scores + far / max(float(far.max()), 1e-9)
        scores[[at for at, i in enumerate(fits) if i in taken]] = -np.inf
        at = int(max(order, key=lambda place: scores[place]))
        i = fits[at]
        taken.add(i)
        distance = None if near is None or not np.isfinite(near[at]) else float(near[at])
        picks.append(Pick(drawn[i], unsure[i], differ[i], distance, _why(unsure[i], differ[i], distance)))
        if vectors is not None and near is not None:
            near = np.minimum(near, 1.0 - vectors[: len(fits)] @ vectors[at])
    return picks


def entropy(judged: Judgement, value_type: ValueType) -> float | None:
    """Of the label probabilities, as a share of the most there can be; None where there are none."""
    if not isinstance(judged, Scored) or judged.probabilities is None:
        return None
    p = np.asarray([judged.probabilities[label] for label in value_type.choices()])
    p = p[p > 0]
    return float(-(p * np.log(p)).sum() / np.log(len(value_type.choices())))


def _differ(said: Sequence[Judgement], value_type: ValueType) -> float | None:
    """Share of pairs of judgements that differ; by distance on a scale."""
    values = [j.value for j in said if isinstance(j, Scored)]
    if len(values) < 2:
        return None
    numbers = [value_type.number_of(v) for v in values] if value_type.scale != "nominal" else []
    pairs = [(a, b) for a in range(len(values)) for b in range(a)]
    if numbers and all(n is not None for n in numbers):
        return float(np.mean([abs((numbers[a] or 0.0) - (numbers[b] or 0.0)) for a, b in pairs]))
    return float(np.mean([values[a] != values[b] for a, b in pairs]))


def _known(values: Sequence[float | None]) -> list[bool]:
    return [value is not None for value in values]


def _ranks(values: Sequence[float | None]) -> Floats:
    """Ranks as shares of the highest; equal values share one, and what is not known has none."""
    known = sorted({value for value in values if value is not None})
    place = {value: (at + 1) / len(known) for at, value in enumerate(known)} if len(known) > 1 else {}
    return np.asarray([0.0 if value is None else place.get(value, 0.0) for value in values])


def _vectors(
    judge: Judge, items: Sequence[Any], labelled: Sequence[LabelledExample], embedder: str
) -> Floats:
    """Unit vectors of the items, then of the labelled rows."""
    space = current_session().embedder(embedder, judge.endpoint_of(embedder))
    weights = {variable.name: 1.0 for variable in judge.template.variables}
    parts = [p for item in [*items, *labelled] if isinstance(p := judge.parts(item), Mapping)]
    made = ItemEmbedder(space, tuple(weights), weights).embed(parts).astype(np.float64)
    length = np.linalg.norm(made, axis=1, keepdims=True)
    unit: Floats = made / np.where(length > 0, length, 1.0)
    return unit


def _nearest(vectors: Floats, others: Floats) -> Floats:
    """Cosine distance to the nearest of `others`; infinite where there are none."""
    if not len(others):
        return np.full(len(vectors), np.inf)
    found: Floats = (1.0 - vectors @ others.T).min(axis=1)
    return found


def _why(unsure: float | None, differ: float | None, distance: float | None) -> str:
    said = []
    if unsure is not None:
        said.append(f"the judge is {1 - unsure:.0%} sure")
    if differ:
        said.append("the candidates differ")
    if distance is not None:
        said.append(f"{distance:.2f} from what is known")
    return ", ".join(said) or "the first of its kind"
