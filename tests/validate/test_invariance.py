"""M2: what must not change a figure does not change it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge_opt.core.results import Judgement, Scored, Unscored
from judge_opt.core.values import categories
from judge_opt.validate import validate
from judge_opt.validate.agreement import Agreement, measure_agreement

from .conftest import World

THREE = categories("a", "b", "c")
Row = tuple[str, str, str]
rows = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("abc"), st.sampled_from(["g1", "g2", "g3", "g4"])),
    min_size=1,
    max_size=25,
)


def measure(table: list[Row], value_type: Any = THREE) -> Agreement:
    gold, judged, groups = zip(*table, strict=True)
    return measure_agreement(gold, [Scored(j) for j in judged], groups, value_type, n_boot=60)


def figures(found: Agreement) -> list[float | str | None]:
    out: list[float | str | None] = []
    for name in sorted(found.metrics):
        figure = found.metrics[name]
        out += [figure.value, figure.low, figure.high, figure.reason]
    return out


def same(a: Agreement, b: Agreement) -> bool:
    return all(
        x == y or (isinstance(x, float) and isinstance(y, float) and x == pytest.approx(y, abs=1e-9))
        for x, y in zip(figures(a), figures(b), strict=True)
    )


@given(rows, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=40)
def test_row_order(table: list[Row], random: Any) -> None:
    shuffled = list(table)
    random.shuffle(shuffled)
    assert same(measure(table), measure(shuffled))


@given(rows, st.permutations("abc"))
@settings(deadline=None, max_examples=40)
def test_label_renaming(table: list[Row], names: list[str]) -> None:
    new = dict(zip("abc", names, strict=True))
    assert same(measure(table), measure([(new[g], new[j], group) for g, j, group in table]))


@given(rows, st.integers(1, 10))
@settings(deadline=None, max_examples=40)
def test_unscored_rows_change_coverage_alone(table: list[Row], extra: int) -> None:
    gold, judged, groups = zip(*table, strict=True)
    scored: list[Judgement] = [Scored(j) for j in judged]
    with_holes = measure_agreement(
        [*gold, *"a" * extra],
        [*scored, *[Unscored("refused")] * extra],
        [*groups, *(f"new{i}" for i in range(extra))],
        THREE,
        n_boot=60,
    )
    plain = measure(table)
    assert same(plain, with_holes)
    assert (with_holes.confusion, with_holes.classes) == (plain.confusion, plain.classes)
    assert with_holes.coverage == pytest.approx(len(table) / (len(table) + extra))
    assert with_holes.unscored == {"refused": extra}


def test_row_order_of_a_whole_report(world: World) -> None:
    before, after = world.judge(0.3), world.judge(0.6)
    order = world.rng.permutation(len(world.gold))

    def report(index: Any) -> Any:
        columns = (world.gold, before, after, world.groups)
        return validate(
            *([column[i] for i in index] for column in columns),  # type: ignore[arg-type]
            value_type=world.value_type,
            ids=[world.ids[i] for i in index],
            n_boot=200,
        )

    first, second = report(range(len(order))), report(order)
    assert first.headline == second.headline
    assert first.rows_digest == second.rows_digest
    assert first.comparison.p_value == second.comparison.p_value
    assert same(first.after, second.after)
