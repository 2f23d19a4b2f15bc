"""Does the judge still do what it did when it was validated? Windows of time against a reference.

    report = drift(reference, {"2026-11": november, "2026-12": december}, judge.value_type)
    for alarm in report.alarms: print(alarm)

Three questions of each window: has agreement with people fallen, do the verdicts fall otherwise, are other items
judged? Each is a permutation test that moves whole groups between reference and window. However many windows
come, the chance of any false alarm is at most alpha: of it the three questions get a part each, and of that
the k-th window 1 / (k (k + 1)), which sum to one.

Where a verdict or an item shifts, agreement may still hold: label some of the new rows and look.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field

from judge_opt.core.errors import DataError, UsageError
from judge_opt.core.results import Judgement, Scored, Value
from judge_opt.core.values import ValueType
from judge_opt.validate.checked_values import check_values
from judge_opt.validate.figures import Figure, Strict
from judge_opt.validate.intervals import blocks
from judge_opt.validate.means import mean_figure
from judge_opt.validate.pairs import FloatArray, IntArray, check_lengths
from judge_opt.validate.watch import Watch, watch_agreement

Question = Literal["agreement", "verdicts", "items"]

MOST_ITEMS = 400
"""Rows of the reference, and of a window, whose vectors are compared; of more, a draw by lot."""

_MOST_SWAPS = 99_999


@dataclass(frozen=True, slots=True)
class TimeRows:
    """Judged rows of one time.

    Attributes:
        judged, groups: one entry a row, in order of time.
        gold: human labels, None where there is none; None for no labels at all.
        vectors: embeddings of the items [n, d]; None for no test of the items.
    """

    judged: Sequence[Judgement]
    groups: Sequence[str]
    gold: Sequence[Value | None] | None = None
    vectors: FloatArray | None = None


class WindowTest(Strict):
    """One question of one window.

    Attributes:
        distance: agreement in the reference less that of the window; total variation distance of the
            verdicts, in [0, 1]; energy distance of the items' vectors. None where it cannot be had.
        p_value: of "nothing has changed" (for agreement one-sided: "it has not fallen").
        level: the window's part of alpha.
        alarm: p_value is at most level.
    """

    question: Question
    distance: float | None = None
    p_value: float | None = None
    level: float
    alarm: bool = False
    reason: str | None = None


class Window(Strict):
    """One window. `agreement` is on its labelled and scored rows; `shares` says how often each verdict."""

    name: str
    n: int
    n_labelled: int
    coverage: float | None
    agreement: Figure
    shares: dict[str, float]
    tests: list[WindowTest]


class DriftReport(Strict):
    """What `drift` found.

    Attributes:
        alpha: chance of any false alarm, in all windows together.
        reference: the rows that all windows are held against; without tests.
        watch: agreement of all windows' labels in order, against the declared floor; None without one.
    """

    alpha: float
    reference: Window
    windows: list[Window] = Field(default_factory=list)
    watch: Watch | None = None

    @property
    def alarms(self) -> list[str]:
        """In words, in order of time."""
        said = {
            "agreement": "agreement with people has fallen by {:.2f}",
            "verdicts": "the verdicts fall otherwise (total variation {:.2f})",
            "items": "other items are judged (energy distance {:.3f})",
        }
        out = [
            f"{window.name}: {said[test.question].format(test.distance)}"
            for window in self.windows
            for test in window.tests
            if test.alarm and test.distance is not None
        ]
        return out + ([self.watch.text()] if self.watch is not None and self.watch.alarm else [])


def drift(
    reference: TimeRows,
    windows: Mapping[str, TimeRows],
    value_type: ValueType,
    *,
    alpha: float = 0.05,
    floor: float | None = None,
    seed: int = 0,
    n_boot: int = 2000,
) -> DriftReport:
    """Hold each window against the reference.

    Args:
        windows: name to rows, in order of time.
        alpha: chance of any false alarm of the windows' tests; the watch over `floor` has one of its own.
        floor: agreement below which an alarm is wanted, row by row; see `watch_agreement`.

    Raises:
        DataError: columns of different lengths, or a value that is not of the value type.
        UsageError: no window, or alpha out of range.
    """
    if not windows or not 0.0 < alpha < 1.0:
        raise UsageError(f"{len(windows)} windows at alpha {alpha}.", "Give a window, and alpha in (0, 1).")
    for name, rows in {"reference": reference, **windows}.items():
        _check(name, rows, value_type)
    questions = _questions(reference, windows)
    out = []
    for k, (name, rows) in enumerate(windows.items(), 1):
        level = alpha / len(questions) / (k * (k + 1))
        tests = [_test(q, reference, rows, value_type, level, seed + k) for q in questions]
        out.append(_window(name, rows, value_type, tests, n_boot, seed))
    watch = None
    if floor is not None:
        means = [mean for rows in windows.values() for mean in _group_means(rows)]
        watch = watch_agreement(means, floor, alpha=alpha)
    first = _window("reference", reference, value_type, [], n_boot, seed)
    return DriftReport(alpha=alpha, reference=first, windows=out, watch=watch)


def _check(name: str, rows: TimeRows, value_type: ValueType) -> None:
    columns: dict[str, Sequence[Any]] = {f"judgements of {name}": rows.judged, "groups": rows.groups}
    if rows.gold is not None:
        columns["labels"] = rows.gold
    if rows.vectors is not None:
        columns["vectors"] = range(len(rows.vectors))
    check_lengths(**columns)
    check_values([rows.gold] if rows.gold is not None else [], rows.judged, value_type)


def _questions(reference: TimeRows, windows: Mapping[str, TimeRows]) -> list[Question]:
    """What can be asked of any window: fixed before a test is made, since alpha is shared out among them."""
    every = [reference, *windows.values()]
    out: list[Question] = ["verdicts"]
    if reference.gold is not None and any(rows.gold is not None for rows in windows.values()):
        out.insert(0, "agreement")
    if all(rows.vectors is not None for rows in every):
        if (
            len({rows.vectors.shape[1] for rows in every if rows.vectors is not None and len(rows.vectors)})
            > 1
        ):
            raise DataError("The windows' vectors have different widths.", "Embed all with one model.")
        out.append("items")
    return out


def _window(
    name: str, rows: TimeRows, value_type: ValueType, tests: list[WindowTest], n_boot: int, seed: int
) -> Window:
    hits, groups = _hits(rows)
    said = [value_type.text_of(j.value) for j in rows.judged if isinstance(j, Scored)]
    labels = value_type.choices() if len(value_type.choices()) <= 20 else ()
    return Window(
        name=name,
        n=len(rows.judged),
        n_labelled=len(hits),
        coverage=len(said) / len(rows.judged) if len(rows.judged) else None,
        agreement=mean_figure(hits, _codes(groups), n_boot=n_boot, seed=seed),
        shares={label: said.count(label) / len(said) for label in labels} if said else {},
        tests=tests,
    )


def _hits(rows: TimeRows) -> tuple[FloatArray, list[str]]:
    """Right or wrong, and the groups, of the rows with a label and a verdict."""
    found = [
        (float(j.value == label), g)
        for label, j, g in zip(rows.gold or [None] * len(rows.judged), rows.judged, rows.groups, strict=True)
        if label is not None and isinstance(j, Scored)
    ]
    return np.array([hit for hit, _ in found], dtype=np.float64), [g for _, g in found]


def _group_means(rows: TimeRows) -> list[float]:
    """The agreement of each group, in the order in which they first occur."""
    hits, groups = _hits(rows)
    of: dict[str, list[float]] = {}
    for hit, group in zip(hits, groups, strict=True):
        of.setdefault(group, []).append(float(hit))
    return [sum(own) / len(own) for own in of.values()]


def _codes(groups: Sequence[str]) -> IntArray:
    return (
        np.unique(list(groups), return_inverse=True)[1].astype(np.int64) if groups else np.array([], np.int64)
    )


def _test(
    question: Question, old: TimeRows, new: TimeRows, value_type: ValueType, level: float, seed: int
) -> WindowTest:
    base = WindowTest(question=question, level=level)
    made = {"agreement": _agreement, "verdicts": _verdicts, "items": _items}[question](
        old, new, value_type, seed
    )
    if made is None:
        return base.model_copy(update={"reason": "The window or the reference has no such rows."})
    of_members, groups, is_new, one_sided = made
    distance, p = _permute(of_members, groups, is_new, level, seed, one_sided)
    return base.model_copy(update={"distance": distance, "p_value": p, "alarm": p <= level})


_Members = Callable[[FloatArray], FloatArray]
"""Which rows belong to the window [B, n] (1 or 0) to distances [B]."""
_Made = tuple[_Members, list[str], "np.ndarray[Any, np.dtype[np.bool_]]", bool]


def _agreement(old: TimeRows, new: TimeRows, value_type: ValueType, seed: int) -> _Made | None:
    (a, ga), (b, gb) = _hits(old), _hits(new)
    if not len(a) or not len(b):
        return None
    x = np.concatenate([a, b])

    def gap(member: FloatArray) -> FloatArray:
        inside, outside = member.sum(axis=1), (1 - member).sum(axis=1)
        out: FloatArray = ((1 - member) @ x) / np.maximum(outside, 1) - (member @ x) / np.maximum(inside, 1)
        return out

    return gap, [*(f"r{g}" for g in ga), *(f"w{g}" for g in gb)], np.arange(len(x)) >= len(a), True


def _verdicts(old: TimeRows, new: TimeRows, value_type: ValueType, seed: int) -> _Made | None:
    def said(rows: TimeRows) -> list[tuple[str, str]]:
        # A row without a verdict is a verdict of its own here: more refusals are a change too.
        return [
            (value_type.text_of(j.value) if isinstance(j, Scored) else "", g)
            for j, g in zip(rows.judged, rows.groups, strict=True)
        ]

    a, b = said(old), said(new)
    if not a or not b:
        return None
    texts = [text for text, _ in [*a, *b]]
    if value_type.is_choice:
        table = np.eye(len(set(texts)))[np.unique(texts, return_inverse=True)[1]]
    else:  # numbers: in ten parts of the reference
        numbers = np.array([float(t) if t else np.nan for t in texts])
        known = numbers[: len(a)][np.isfinite(numbers[: len(a)])]
        edges = np.unique(np.quantile(known, np.linspace(0, 1, 11)[1:-1])) if len(known) else np.array([0.0])
        place = np.where(np.isfinite(numbers), np.searchsorted(edges, numbers), len(edges) + 1)
        table = np.eye(len(edges) + 2)[place]

    def variation(member: FloatArray) -> FloatArray:
        inside, outside = member.sum(axis=1, keepdims=True), (1 - member).sum(axis=1, keepdims=True)
        gap = (member @ table) / np.maximum(inside, 1) - ((1 - member) @ table) / np.maximum(outside, 1)
        out: FloatArray = abs(gap).sum(axis=1) / 2
        return out

    groups = [*(f"r{g}" for _, g in a), *(f"w{g}" for _, g in b)]
    return variation, groups, np.arange(len(texts)) >= len(a), False


def _items(old: TimeRows, new: TimeRows, value_type: ValueType, seed: int) -> _Made | None:
    assert old.vectors is not None
    assert new.vectors is not None
    if not len(old.vectors) or not len(new.vectors):
        return None
    rng = np.random.default_rng(seed)

    def drawn(rows: TimeRows) -> tuple[FloatArray, list[str]]:
        x = np.asarray(rows.vectors, dtype=np.float64)
        keep = np.sort(rng.permutation(len(x))[:MOST_ITEMS])
        return x[keep], [rows.groups[i] for i in keep]

    (a, ga), (b, gb) = drawn(old), drawn(new)
    x = np.concatenate([a, b])
    squares = (x**2).sum(axis=1)
    apart = np.sqrt(np.maximum(squares[:, None] + squares[None, :] - 2 * x @ x.T, 0.0))

    def energy(member: FloatArray) -> FloatArray:
        """Szekely & Rizzo 2013: twice the mean distance between, less those within."""
        inside = member / np.maximum(member.sum(axis=1, keepdims=True), 1)
        outside = (1 - member) / np.maximum((1 - member).sum(axis=1, keepdims=True), 1)
        to_inside = inside @ apart
        between, within = (to_inside * outside).sum(axis=1), (to_inside * inside).sum(axis=1)
        out: FloatArray = 2 * between - within - ((outside @ apart) * outside).sum(axis=1)
        return out

    return energy, [*(f"r{g}" for g in ga), *(f"w{g}" for g in gb)], np.arange(len(x)) >= len(a), False


def _permute(
    distance: _Members,
    groups: Sequence[str],
    is_new: "np.ndarray[Any, np.dtype[np.bool_]]",
    level: float,
    seed: int,
    one_sided: bool,
) -> tuple[float, float]:
    """The distance, and the share of drawings of groups with one at least as great."""
    codes = _codes(groups)
    of_group = np.zeros(int(codes.max()) + 1)
    of_group[codes] = is_new
    observed = float(distance(of_group[codes][None, :])[0])
    if observed <= 1e-12:
        return max(observed, 0.0) if not one_sided else observed, 1.0
    swaps = int(min(_MOST_SWAPS, max(1999, np.ceil(20 / level))))
    rng = np.random.default_rng(seed)
    extreme = 0
    for block in blocks(np.zeros((swaps, 1), dtype=np.int64), 4 * len(codes)):
        drawn = rng.permuted(np.broadcast_to(of_group, (len(block), len(of_group))), axis=1)
        extreme += int((distance(drawn[:, codes]) >= observed - 1e-12).sum())
    return observed, (1 + extreme) / (1 + swaps)
