"""The alternative annotator test: equal to the published procedure, and defined at the edges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from judge_opt.core.errors import DataError, UsageError
from judge_opt.core.results import Judgement, Scored, Unscored
from judge_opt.core.values import BOOL, categories, scale
from judge_opt.validate.alternative_annotators import alt_test, benjamini_yekutieli


def world(n: int, skills, judge: float, seed: int = 0):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(seed)
    truth = rng.integers(1, 6, n)

    def say(skill: float) -> list[int]:
        return [int(t) if rng.random() < skill else int(rng.integers(1, 6)) for t in truth]

    tables = {f"r{k}": say(skill) for k, skill in enumerate(skills)}
    votes = [{name: table[i] for name, table in tables.items() if (i + len(name)) % 7} for i in range(n)]
    votes = [{name: v for name, v in row.items() if rng.random() < 0.8} for row in votes]
    return votes, [Scored(v) for v in say(judge)], [str(i) for i in range(n)]


def published(votes, judged, epsilon: float, q: float, score):  # type: ignore[no-untyped-def]
    """The procedure of the paper's notebook, from its description: scipy's t-test, statsmodels' correction."""
    p_values, advantages = [], []
    for rater in sorted({r for row in votes for r in row}):
        ours, theirs = [], []
        for row, j in zip(votes, judged, strict=True):
            if rater not in row or len(row) < 2 or not isinstance(j, Scored):
                continue
            others = [v for name, v in row.items() if name != rater]
            a, b = score(j.value, others), score(row[rater], others)
            ours.append(int(a >= b))
            theirs.append(int(b >= a))
        if len(ours) < 30:
            continue
        p_values.append(stats.ttest_1samp(np.subtract(theirs, ours), epsilon, alternative="less").pvalue)
        advantages.append(np.mean(ours))
    rejected = multipletests(p_values, alpha=q, method="fdr_by")[0]
    return float(np.mean(rejected)), float(np.mean(advantages)), p_values


SCORES = {
    "accuracy": lambda value, others: float(np.mean([value == o for o in others])),
    "rmse": lambda value, others: -float(np.sqrt(np.mean([(value - o) ** 2 for o in others]))),
}


@pytest.mark.parametrize("scoring", ["accuracy", "rmse"])
@pytest.mark.parametrize(("judge", "epsilon"), [(0.5, 0.1), (0.7, 0.2), (0.8, 0.15), (0.95, 0.1)])
def test_equals_the_published_procedure(scoring, judge: float, epsilon: float) -> None:  # type: ignore[no-untyped-def]
    votes, judged, groups = world(150, (0.9, 0.75, 0.6, 0.7), judge, seed=int(100 * judge))
    judged[3] = Unscored("refused")
    found = alt_test(votes, judged, groups, scale(1, 5), epsilon=epsilon, scoring=scoring)
    rate, advantage, p_values = published(votes, judged, epsilon, 0.05, SCORES[scoring])
    assert found.winning_rate == pytest.approx(rate)
    assert found.advantage == pytest.approx(advantage)
    assert [one.p_value for one in found.raters] == pytest.approx(p_values)
    assert found.passed == (rate >= 0.5)


def test_benjamini_and_yekutieli_on_their_example() -> None:
    """Benjamini & Hochberg 1995, section 4.2, 15 p-values: Benjamini-Hochberg rejects 4 at .05. With the
    factor of Benjamini & Yekutieli 2001, 1 + 1/2 + ... + 1/15 = 3.318, 3 remain: the third is .0019 against
    3 / 15 * .05 / 3.318 = .0030, the fourth .0095 against .0040."""
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344]
    p += [0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    assert benjamini_yekutieli(p, 0.05) == [True] * 3 + [False] * 12


def test_a_judge_like_the_raters_passes_and_noise_fails() -> None:
    like = alt_test(*world(300, (0.8, 0.8, 0.8), 0.8), scale(1, 5), epsilon=0.2)
    noise = alt_test(*world(300, (0.8, 0.8, 0.8), 0.0), scale(1, 5), epsilon=0.2)
    assert like.passed
    assert like.winning_rate == 1.0
    assert not noise.passed
    assert noise.winning_rate == 0.0
    assert noise.advantage < like.advantage


def test_rows_of_a_group_are_no_evidence_of_their_own() -> None:
    votes, judged, _ = world(40, (0.8, 0.8, 0.8), 0.75)
    once = alt_test(votes, judged, [str(i) for i in range(40)], scale(1, 5), min_rows=10)
    copied = alt_test(votes * 5, judged * 5, [str(i) for i in range(40)] * 5, scale(1, 5), min_rows=10)
    for a, b in zip(once.raters, copied.raters, strict=True):
        assert b.n == 5 * a.n
        assert b.p_value == pytest.approx(a.p_value)


def test_all_equal_has_an_exact_bound_and_no_zero() -> None:
    votes = [{"a": True, "b": True} for _ in range(40)]
    groups = [str(i) for i in range(40)]
    same = alt_test(votes, [Scored(True)] * 40, groups, BOOL, epsilon=0.1)
    assert [(one.method, one.p_value) for one in same.raters] == [("exact", pytest.approx(0.9**40))] * 2
    assert same.passed
    worse = alt_test(votes, [Scored(False)] * 40, groups, BOOL, epsilon=0.1)
    assert [one.p_value for one in worse.raters] == [1.0, 1.0]
    assert worse.winning_rate == 0.0
    better = alt_test(
        [{"a": True, "b": False, "c": False} for _ in range(40)],
        [Scored(False)] * 40,
        groups,
        BOOL,
        epsilon=0.1,
    )
    assert better.raters[0].p_value == pytest.approx(0.45**40)


@pytest.mark.parametrize(
    ("votes", "judged", "groups", "reason"),
    [
        ([], [], [], "No rater has 30 rows"),
        ([{"a": True}] * 40, [Scored(True)] * 40, list("a" * 40), "No rater has 30 rows"),
        ([{"a": True, "b": True}] * 40, [Unscored("refused")] * 40, list("a" * 40), "No rater has 30 rows"),
        ([{"a": True, "b": True}], [Scored(True)], ["a"], "No rater has 30 rows"),
        ([{"a": True, "b": True}] * 40, [Scored(True)] * 40, list("a" * 40), "in one group"),
    ],
)
def test_what_cannot_be_tested_is_none_with_a_reason(votes, judged: list[Judgement], groups, reason) -> None:  # type: ignore[no-untyped-def]
    found = alt_test(votes, judged, groups, BOOL)
    assert (found.winning_rate, found.advantage, found.passed) == (None, None, None)
    assert reason in found.reason


def test_wrong_calls_are_refused() -> None:
    votes, judged, groups = world(40, (0.8, 0.8), 0.8)
    with pytest.raises(UsageError, match="out of range"):
        alt_test(votes, judged, groups, scale(1, 5), epsilon=1.0)
    with pytest.raises(DataError, match="different lengths"):
        alt_test(votes[1:], judged, groups, scale(1, 5))
    with pytest.raises(UsageError, match="no distance"):
        alt_test([{}], [Scored("x")], ["a"], categories("x", "y"), scoring="rmse")
    with pytest.raises(DataError, match="not a value"):
        alt_test([{"a": "z"}], [Scored("x")], ["a"], categories("x", "y"))


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 10**6))
def test_row_order_and_label_names_change_nothing(random, seed: int) -> None:  # type: ignore[no-untyped-def]
    votes, judged, groups = world(80, (0.8, 0.6, 0.7), 0.7, seed=seed)
    first = alt_test(votes, judged, groups, scale(1, 5), scoring="accuracy")
    order = list(range(80))
    random.shuffle(order)
    again = alt_test(
        [votes[i] for i in order], [judged[i] for i in order], [groups[i] for i in order], scale(1, 5),
        scoring="accuracy",
    )  # fmt: skip
    names = categories("e", "d", "c", "b", "a")
    word = {k + 1: label for k, label in enumerate(names.labels)}
    renamed = alt_test(
        [{r: word[v] for r, v in row.items()} for row in votes],
        [Scored(word[j.value]) for j in judged],
        groups,
        names,
    )
    for other in (again, renamed):
        assert other.winning_rate == first.winning_rate
        assert other.advantage == pytest.approx(first.advantage)
        assert [r.p_value for r in other.raters] == pytest.approx([r.p_value for r in first.raters])
