"""Metrics by output type, and comparisons that no failing row can bend."""

import alignment_world as world
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score

from judge_opt.align.feedback import feedback_text
from judge_opt.align.instructions import repaired, with_instructions
from judge_opt.align.objective import METRICS, class_weights, metric_for
from judge_opt.align.scoring import best_of, compare, measure, no_harm
from judge_opt.core.errors import UsageError
from judge_opt.core.results import Scored, Unscored
from judge_opt.core.values import BOOL, categories, interval, ordered, scale
from judge_opt.judges.make import make_judge
from judge_opt.labels.examples import LabelledExample, Vote

ABC = categories("a", "b", "c")
FAILED = Unscored("unparseable")


def row(number, *votes, why=None):
    return LabelledExample(
        f"r{number:03}",
        f"g{number // 2}",
        {"outputs": str(number)},
        tuple(Vote(f"v{i}", vote, why) for i, vote in enumerate(votes)),
    )


labels = st.lists(st.sampled_from("abc"), min_size=4, max_size=30)


@given(labels, labels, labels, st.lists(st.booleans(), min_size=30, max_size=30))
def test_a_failing_row_changes_nobodys_score(gold, first, second, fails):
    n = min(len(gold), len(first), len(second))
    rows = [row(i, gold[i]) for i in range(n)]
    fails = fails[:n]
    metric = metric_for(ABC)
    one = [Scored(v) for v in first[:n]]
    two = [FAILED if bad else Scored(v) for v, bad in zip(second, fails, strict=False)]
    table = compare(metric, rows, {"one": one, "two": two}, ABC, floor=0.0)
    kept = [i for i in range(n) if not fails[i]]
    if not kept:
        assert table["two"].score is None
        assert table["one"].score == measure(metric, rows, one, ABC).score
        return
    for name, said in (("one", one), ("two", two)):
        alone = measure(metric, [rows[i] for i in kept], [said[i] for i in kept], ABC)
        assert table[name].score == alone.score
        assert table[name].rows == len(kept)


def test_one_that_hardly_judges_is_out_and_does_not_shrink_the_others_rows():
    rows = [row(i, "ab"[i % 2]) for i in range(20)]
    good = [Scored(r.gold) for r in rows]
    lazy = [good[0], *[FAILED] * 19]
    table = compare(metric_for(ABC), rows, {"untouched": good, "lazy": lazy}, ABC)
    assert table["lazy"].score is None
    assert table["lazy"].coverage == pytest.approx(0.05)
    assert table["untouched"].rows == 20
    assert best_of(table) == "untouched"


@given(labels, labels)
def test_kappa_and_balanced_accuracy_are_scikit_learns(gold, said):
    n = min(len(gold), len(said))
    gold, said = gold[:n], said[:n]
    rows, judged = [row(i, g) for i, g in enumerate(gold)], [Scored(s) for s in said]
    if len(set(gold) | set(said)) > 1:
        kappa = cohen_kappa_score(gold, said, labels=["a", "b", "c"])
        assert metric_for(ABC).pooled(rows, judged, ABC) == pytest.approx(kappa)
        soft = METRICS["kappa with every rater"][0].pooled(rows, judged, ABC)
        assert soft == pytest.approx(kappa)
        steps = ordered("a", "b", "c")
        weighted = cohen_kappa_score(gold, said, labels=["a", "b", "c"], weights="quadratic")
        assert metric_for(steps).pooled(rows, judged, steps) == pytest.approx(weighted)
    balanced = metric_for(ABC, name="balanced accuracy").pooled(rows, judged, ABC)
    own = np.mean([np.mean([s == g for g, s in zip(gold, said, strict=True) if g == x]) for x in set(gold)])
    assert balanced == pytest.approx(own)
    if set(said) <= set(gold):
        assert balanced == pytest.approx(balanced_accuracy_score(gold, said))


def test_the_metric_follows_the_values_and_the_raters():
    agreed = [row(i, "a", "a") for i in range(10)]
    split = [row(i, "a", "a", "b") for i in range(10)]
    assert metric_for(ABC, agreed).name == "kappa"
    assert metric_for(BOOL).name == "kappa"
    assert metric_for(ordered("lo", "hi")).name == "quadratic kappa"
    assert metric_for(scale(1, 5)).name == "quadratic kappa"
    assert metric_for(interval(0, 1)).name == "concordance"
    assert metric_for(ABC, split).name == "kappa with every rater"
    assert metric_for(ABC, split, probabilities=True).name == "brier"
    with pytest.raises(UsageError, match="does not measure"):
        metric_for(ABC, name="concordance")
    with pytest.raises(UsageError, match="No metric"):
        metric_for(ABC, name="f1")


def test_soft_metrics_are_best_at_the_raters_own_distribution():
    rows = [row(i, "a", "a", "b") for i in range(6)]
    for name in ("brier", "log score"):
        metric = metric_for(ABC, name=name)

        def score(p, metric=metric):
            said = Scored("a", probabilities={"a": p, "b": 1 - p, "c": 0.0})
            return metric.pooled(rows, [said] * 6, ABC)

        assert score(2 / 3) > score(0.9)
        assert score(2 / 3) > score(0.5)
        assert 0 <= metric.row(rows[0], Scored("a"), ABC) <= 1


def test_weights_make_every_label_count_the_same():
    rows = [row(i, "a") for i in range(9)] + [row(9, "b"), row(10, "a", "b")]
    weights = class_weights(rows, ABC)
    assert sum(weights[:9]) == pytest.approx(weights[9])
    assert weights[10] == 1.0


def test_no_harm_keeps_what_helps_and_nothing_else():
    rows = [row(i, "ab"[i % 2]) for i in range(60)]
    right = [Scored(r.gold) for r in rows]
    poor = [Scored("a") if i % 3 else j for i, j in enumerate(right)]
    metric = metric_for(ABC)
    assert no_harm(metric, rows, poor, right, ABC).keep
    assert not no_harm(metric, rows, right, poor, ABC).keep
    assert not no_harm(metric, rows, right, right, ABC).keep
    assert not no_harm(metric, rows, poor, [FAILED] * 50 + right[50:], ABC).keep


def test_feedback_carries_gold_reasons_and_the_judges_own():
    text = feedback_text(row(1, "a", why="It is {{ odd }}."), Scored("b", "I like it.", 0.75), ABC)
    assert "experts say a" in text
    assert "a because: It is {{ odd }}." in text
    assert "The judge says b (75% sure) because: I like it." in text
    assert "wrong" in text
    assert "33% b" in feedback_text(row(1, "a", "a", "b"), Scored("a"), ABC)
    assert "gave no verdict (unparseable" in feedback_text(row(1, "a"), FAILED, ABC)


@pytest.mark.parametrize(
    "text",
    [
        "Judge {{ outputs }} with care.",
        "Judge it with care.",
        "Judge {{ outputs }}; beware of {{ x }} and {{ inputs }} and {{{{ and }} %s {x}.",
        'A literal {{ "{{" }} stays, {{ outputs }}.',
        'Quotes: {{ "a" "b" }} {{ outputs }}',
        "\ud800 {{ outputs }} \u202e",
    ],
)
def test_instructions_are_repaired_into_a_template(text):
    judge = make_judge("x", "Is {{ outputs }} fine?", "openai:/none", world.LABELS)
    made = repaired(judge, text)
    assert made is not None
    assert judge.template.keeps_variables(made)
    other = with_instructions(judge, text)
    assert other is not None
    assert judge.instructions == "Is {{ outputs }} fine?"
    shown = judge.template.shown(made)
    assert "`outputs`" in shown
    assert "`x`" not in shown
    assert "`inputs`" not in shown


@pytest.mark.parametrize("text", ["", "   ", "x" * 30_000])
def test_instructions_that_are_none_are_refused(text):
    judge = make_judge("x", "Is {{ outputs }} fine?", "openai:/none", world.LABELS)
    assert repaired(judge, text) is None


def test_a_default_in_the_template_survives():
    judge = make_judge("x", 'Is {{ outputs }} as {{ inputs or "-" }}?', "openai:/none", world.LABELS)
    assert repaired(judge, judge.instructions) == judge.instructions


@given(labels, labels, st.integers(0, 99))
def test_sums_over_rows_give_the_same_figure(gold, said, seed):
    n = min(len(gold), len(said))
    rng = np.random.default_rng(seed)
    rows = [row(i, g, str(rng.choice(list("abc"))), g) for i, g in enumerate(gold[:n])]
    odds = rng.dirichlet(np.ones(3), n)
    judged = [
        Scored(v, probabilities=dict(zip("abc", p, strict=True))) for v, p in zip(said, odds, strict=False)
    ]
    for kind in (ABC, ordered("a", "b", "c")):
        for metric, fits in METRICS.values():
            if metric.sums is None or not fits(kind):
                continue
            total = metric.sums(rows, judged, kind).sum(axis=0)
            assert metric.finish(total, kind) == pytest.approx(metric.pooled(rows, judged, kind))
