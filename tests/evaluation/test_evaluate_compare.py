"""Two runs on the same rows: pairing, tests against second implementations, readable results."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_world import polite, rows
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from judge_opt.core.errors import DataError, NotFound, UsageError
from judge_opt.core.results import Judgement, Scored, Unscored
from judge_opt.core.values import BOOL, ValueType, categories, ordered, scale
from judge_opt.evaluation import EvaluationComparison, EvaluationResult, compare, evaluate
from judge_opt.evaluation.board import Board, said_json
from judge_opt.evaluation.folder import Config, JudgeEntry
from judge_opt.evaluation.paired import homogeneity_test, mcnemar_test, swap_test, wilcoxon_test
from judge_opt.evaluation.rows import Row
from judge_opt.llm.session import Session
from judge_opt.testing.fault_server import FaultServer


def result(
    name: str, said: dict[str, list[Judgement]], value_type: ValueType, groups: list[int] | None = None
) -> EvaluationResult:
    """A run without an engine: these verdicts on rows r000, r001, ..."""
    count = len(next(iter(said.values())))
    groups = groups or list(range(count))
    made = [Row(f"r{n:03d}", f"g{group}", {"inputs": n}) for n, group in enumerate(groups)]
    judges = tuple(JudgeEntry(judge, ("CODE", judge), "d", "", value_type.to_json()) for judge in said)
    config = Config(name, name, count, "", judges, None, 0, 200, 0.95, 0.9, (), {})
    board = Board(made, list(said), with_agent=False)
    for judge, many in said.items():
        for number, one in enumerate(many):
            board.take({"r": number, "j": judge, "said": said_json(one, {}), "t": 0.0})
    return EvaluationResult(config, board, Path(name))


def scored(*values: Any) -> list[Judgement]:
    return [Unscored("empty") if value is None else Scored(value) for value in values]


def one_of(comparison: EvaluationComparison) -> Any:
    (found,) = comparison.judges
    return found


def test_mcnemar_on_exactly_the_rows_that_both_judged() -> None:
    a = [True] * 5 + [False] * 15 + [None, True, None]
    b = [True] * 4 + [False] * 6 + [True] * 10 + [True, None, None]
    found = compare(result("a", {"j": scored(*a)}, BOOL), result("b", {"j": scored(*b)}, BOOL))
    one = one_of(found)
    assert (one.n_pairs, one.only_a, one.only_b, one.neither) == (20, 1, 1, 1)
    assert one.row_p == pytest.approx(stats.binomtest(1, 11).pvalue)
    assert (one.p_value, one.test) == (one.row_p, "exact McNemar")
    (shift,) = one.differences
    assert (shift.a.value, shift.b.value) == (0.25, 0.7)
    assert shift.difference.value == pytest.approx(0.45)
    assert "j: b is higher than a" in found.text()
    json.dumps(found.to_json(), allow_nan=False)
    assert EvaluationComparison.model_validate(found.to_json()) == found


@pytest.mark.parametrize(
    ("value_type", "values", "name"),
    [
        (ordered("poor", "fair", "good"), ["poor", "fair", "good"], "mean_rank"),
        (scale(1, 3), [1, 2, 3], "mean"),
        (ValueType("float"), [0.5, 1.5, 4.0], "mean"),
    ],
)
def test_wilcoxon_for_what_has_an_order(value_type: ValueType, values: list[Any], name: str) -> None:
    dice = np.random.default_rng(1)
    left, right = dice.integers(0, 2, 40), dice.integers(0, 3, 40)
    found = compare(
        result("a", {"j": scored(*(values[i] for i in left))}, value_type),
        result("b", {"j": scored(*(values[i] for i in right))}, value_type),
    )
    one = one_of(found)
    numbers = [[value_type.number_of(values[i]) for i in side] for side in (left, right)]
    expected = stats.wilcoxon(numbers[1], numbers[0]).pvalue  # type: ignore[arg-type]
    assert one.p_value == pytest.approx(expected)
    assert one.differences[0].name == name
    assert one.differences[0].difference.value == pytest.approx(
        np.mean(numbers[1]) - np.mean(numbers[0])  # type: ignore[arg-type]
    )


def test_bhapkar_for_categories() -> None:
    """Against the textbook's matrix form (Agresti 2002, section 10.3), written out."""
    dice = np.random.default_rng(2)
    left = dice.integers(0, 3, 80)
    right = np.where(dice.random(80) < 0.35, 2, left)
    labels = ["a", "b", "c"]
    found = compare(
        result("a", {"j": scored(*(labels[i] for i in left))}, categories(*labels)),
        result("b", {"j": scored(*(labels[i] for i in right))}, categories(*labels)),
    )
    one = one_of(found)
    table = np.zeros((3, 3))
    np.add.at(table, (left, right), 1)
    share = table / 80
    d = (share.sum(0) - share.sum(1))[:2]
    spread = np.diag(share.sum(0) + share.sum(1))[:2, :2] - share[:2, :2] - share[:2, :2].T - np.outer(d, d)
    statistic = 80 * d @ np.linalg.inv(spread) @ d
    assert one.test == "Bhapkar"
    assert one.p_value == pytest.approx(stats.chi2.sf(statistic, 2))
    assert [shift.name for shift in one.differences] == ["share/a", "share/b", "share/c"]
    assert "distributed differently" in one.verdict


def test_yes_and_no_are_compared_as_true_and_false() -> None:
    a, b = ["no"] * 12 + ["yes"] * 3, ["no"] * 4 + ["yes"] * 11
    yes = categories("yes", "no")
    words = compare(result("a", {"j": scored(*a)}, yes), result("b", {"j": scored(*b)}, yes))
    truth = compare(
        result("a", {"j": scored(*(one == "yes" for one in a))}, BOOL),
        result("b", {"j": scored(*(one == "yes" for one in b))}, BOOL),
    )
    assert words.judges[0].model_dump(exclude={"kind"}) == truth.judges[0].model_dump(exclude={"kind"})


def test_bhapkar_does_not_change_with_labels_that_nobody_moves_between() -> None:
    left, right = np.array([0] * 9 + [1] * 6 + [2] * 5), np.array([0] * 4 + [1] * 5 + [1] * 6 + [2] * 5)
    plain = homogeneity_test(left, right, 3)
    padded = homogeneity_test(left + 2, right + 2, 6)
    assert plain == padded
    assert plain.p_value is not None
    assert plain.p_value < 0.05


def test_edges_are_defined() -> None:
    same = np.array([0.0, 1.0, 1.0])
    assert mcnemar_test(same, same).p_value == 1.0
    assert wilcoxon_test(same, same).p_value == 1.0
    codes = np.array([0, 1, 1])
    assert homogeneity_test(codes, codes, 2).p_value == 1.0
    assert homogeneity_test(np.array([0]), np.array([1]), 2).p_value is not None
    apart = homogeneity_test(np.array([0, 1, 2, 3]), np.array([1, 0, 3, 2]), 4)
    assert apart.p_value is None
    assert apart.reason
    free = compare(
        result("a", {"j": scored("x")}, ValueType("text")), result("b", {"j": scored("y")}, ValueType("text"))
    )
    assert one_of(free).p_value is None
    assert "no test" in one_of(free).verdict
    none = compare(result("a", {"j": scored(None)}, BOOL), result("b", {"j": scored(True)}, BOOL))
    assert "No row was judged in both" in one_of(none).verdict
    single = compare(result("a", {"j": scored(False)}, BOOL), result("b", {"j": scored(True)}, BOOL))
    assert one_of(single).p_value == 1.0


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([-1.0, 0.0, 1.0, 2.0])), min_size=1, max_size=10)
)
def test_swaps_of_groups_are_all_counted(rows_: list[tuple[int, float]]) -> None:
    group = np.unique([g for g, _ in rows_], return_inverse=True)[1]
    difference = np.array([d for _, d in rows_])
    sums = np.bincount(group, difference)
    observed = abs(sums.sum())
    signs = list(itertools.product((1, -1), repeat=len(sums)))
    expected = np.mean([abs(np.dot(sign, sums)) >= observed - 1e-9 for sign in signs])
    found = swap_test(difference, group, n_swaps=99, seed=0)
    assert found.p_value == pytest.approx(expected)


def test_copies_of_rows_are_no_evidence() -> None:
    """Twenty rows in two sessions: McNemar takes them for twenty, the swaps for two."""
    groups = [n // 10 for n in range(20)]
    found = compare(
        result("a", {"j": scored(*[False] * 20)}, BOOL, groups),
        result("b", {"j": scored(*[True] * 20)}, BOOL, groups),
    )
    one = one_of(found)
    assert one.row_p < 1e-5
    assert one.p_value == one.swap_p == 0.5
    assert "no difference shown" in one.verdict


def test_many_groups_are_swapped_at_random_and_seeded() -> None:
    dice = np.random.default_rng(0)
    difference, group = dice.normal(0.3, 1, 200), np.repeat(np.arange(50), 4)
    first, again = (swap_test(difference, group, n_swaps=999, seed=0) for _ in range(2))
    assert first == again
    assert first.name == "random swaps of groups"
    assert first.p_value is not None
    assert 0.001 <= first.p_value < 0.05


def test_several_judges_are_corrected_by_holm() -> None:
    dice = np.random.default_rng(3)
    left = {name: scored(*(bool(x) for x in dice.random(60) < 0.4)) for name in "xyz"}
    right = {name: scored(*(bool(x) for x in dice.random(60) < 0.7)) for name in "xyz"}
    found = compare(result("a", left, BOOL), result("b", right, BOOL))
    raw = [one.p_value for one in found.judges]
    order = np.argsort(raw)
    expected = np.minimum(1, np.maximum.accumulate(np.sort(raw) * np.array([3, 2, 1])))
    assert [found.judges[i].p_adjusted for i in order] == pytest.approx(expected.tolist())


def test_stored_runs_of_two_judges_and_of_two_agents(server: FaultServer, session: Session) -> None:
    first = evaluate(rows(12), polite(server), run_id="first")
    changed = [{**row, "inputs": "other"} if row["id"] == "r0003" else row for row in rows(20)][2:]
    second = evaluate(changed, [polite(server, instructions="{{ outputs }}?"), lambda_free], run_id="second")
    found = compare("first", "second")
    assert (found.n_shared, found.only_a, found.only_b, found.changed) == (9, 2, 8, 1)
    assert any("not the same judge" in note for note in found.notes)
    assert any("lambda_free judged in second only" in note for note in found.notes)
    assert compare(first, second) == found
    assert "9 rows in both" in found.text()
    agents = [
        evaluate(rows(6), polite(server), agent, run_id=agent.__name__) for agent in (rude_agent, kind_agent)
    ]
    both = compare(*agents)
    assert both.n_shared == 6
    assert both.judges[0].differences[0].difference.value == 1.0
    with pytest.raises(NotFound, match="Did you mean 'first'"):
        compare("frist", "second")
    with pytest.raises(UsageError, match="no judge in common"):
        compare(first, evaluate(rows(2), lambda_free))
    with pytest.raises(DataError, match="no row in common"):
        compare(first, evaluate([{"id": "new", "outputs": {"reply": "x"}}], polite(server)))


def lambda_free(outputs: Any) -> bool:
    return True


def rude_agent(question: str) -> dict[str, str]:
    return {"reply": f"{question} No."}


def kind_agent(question: str) -> dict[str, str]:
    return {"reply": f"{question} Wait, please."}


def test_the_text_fits_a_terminal_of_80_columns(session):
    def polite(outputs: str) -> bool:
        return "please" in outputs

    for run_id, every in (("before", 3), ("after", 1)):
        some = [
            {"id": f"r{n}", "inputs": {"q": n}, "outputs": "please" if n % every == 0 else "no"}
            for n in range(12)
        ]
        result = evaluate(some, polite, run_id=run_id)
    text = str(compare("before", result))
    assert max(map(len, text.splitlines())) <= 80, text
    assert "polite: 12 rows that both judged" in text
    assert "  mean  0.33 (0.14 to 0.61)  1.00 (0.76 to 1.00)  0.67" in text
    assert "Holm" not in text  # one judge: nothing to correct
