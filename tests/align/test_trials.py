"""What a guideline is worth: from how far the judge's answer moves, towards the label or away from it."""

import pytest

from judge_opt.align.rows import TrainingRow
from judge_opt.align.trials import LEAST, PRIOR, Trial, gain, try_guidelines, weigh
from judge_opt.core.results import Scored, Unscored
from judge_opt.core.values import categories, interval
from judge_opt.judges.make import make_judge
from judge_opt.labels.examples import LabelledExample, Vote
from judge_opt.memory.guidelines import Guideline

LABELS = categories("good", "bad")
HELPFUL, HARMFUL, USELESS = 0, 1, 2


def scored(p):
    return Scored("good" if p > 0.5 else "bad", None, max(p, 1 - p), {"good": p, "bad": 1 - p})


def row(i, gold, judged):
    example = LabelledExample(f"r{i}", f"g{i}", {"outputs": f"text {i}"}, (Vote("ann", gold),))
    return TrainingRow(example, {"outputs": f"text {i}"}, gold, judged)


def world(n=30):
    """A judge that knows nothing, and three guidelines: towards the label, away from it, and neither."""
    rows = [row(i, "good" if i % 2 else "bad", scored(0.5)) for i in range(n)]
    trials = []
    for i, one in enumerate(rows):
        right = 0.8 if one.gold == "good" else 0.2
        aside = 0.7 if i % 4 < 2 else 0.3
        trials += [Trial(HELPFUL, i, scored(right)), Trial(HARMFUL, i, scored(1 - right))]
        trials.append(Trial(USELESS, i, scored(aside)))
    return rows, trials


def test_a_helpful_guideline_gains_weight_and_a_harmful_one_loses_it():
    rows, trials = world()
    for kept in ((HELPFUL, USELESS), (HARMFUL, USELESS)):
        some = [t for t in trials if t.guideline in kept]
        weights = weigh(some, rows, 3, LABELS)
        assert (weights[HELPFUL] > PRIOR + 0.1) == (HELPFUL in kept)
        assert (weights[HARMFUL] < LEAST) == (HARMFUL in kept)
        assert weights[USELESS] < PRIOR


def test_what_was_not_tried_keeps_the_weight_it_started_with():
    rows, trials = world()
    assert weigh([], rows, 3, LABELS) == [PRIOR] * 3
    weights = weigh([t for t in trials if t.guideline == HELPFUL], rows, 3, LABELS)
    assert weights[1:] == pytest.approx([PRIOR] * 2, abs=1e-4)


def test_failed_judgements_say_nothing():
    rows, trials = world(10)
    lost = Unscored("refused", "no")
    failed = [Trial(HARMFUL, 3, lost), Trial(USELESS, 4, lost)]
    kept = [t for t in trials if (t.guideline, t.row) not in {(HARMFUL, 3), (USELESS, 4)}]
    assert weigh([*kept, *failed], rows, 3, LABELS) == weigh(kept, rows, 3, LABELS)
    unjudged = [*rows, row(99, "good", lost)]
    assert weigh([*kept, Trial(0, 10, scored(0.9))], unjudged, 3, LABELS) == weigh(kept, rows, 3, LABELS)
    assert gain(lost, scored(0.9), rows[1], LABELS) is None
    assert gain(scored(0.9), lost, rows[1], LABELS) is None


def test_on_a_numeric_scale_too():
    floats = interval(0, 4)
    rows = [row(i, float(i % 5), Scored(2.0)) for i in range(25)]
    trials = [Trial(0, i, Scored(2.0 + 0.5 * (i % 5 - 2))) for i in range(25)]
    trials += [Trial(1, i, Scored(2.0 - 0.5 * (i % 5 - 2))) for i in range(25)]
    helpful = weigh([t for t in trials if t.guideline == 0], rows, 2, floats)
    harmful = weigh([t for t in trials if t.guideline == 1], rows, 2, floats)
    assert helpful[0] > PRIOR + 0.3
    assert harmful[1] < 0
    assert gain(Scored(2.0), Scored(3.5), rows[4], floats) == 1.5


def test_over_an_endpoint_the_harmful_one_is_retired_within_the_calls(server, in_session):
    """The judge follows the last word of a guideline: "contents" reads the item, "contrary" turns it round."""
    in_session()
    good, harmful = "Judge a reply by its contents", "Judge a reply by the contrary"

    def answer(body):
        system, item = body["messages"][0]["content"], body["messages"][-1]["content"]
        right = "good" if "yes" in item else "bad"
        other = "bad" if right == "good" else "good"
        said = right if good in system else (other if harmful in system else "good")
        return f'{{"rationale": "x", "verdict": "{said}"}}'

    server.answer = answer
    judge = make_judge("j", "Is {{ outputs }} good?", "openai:/sim", LABELS, base_url=server.base_url)
    rows = []
    for i in range(16):
        fields = {"outputs": f"{'yes' if i % 2 else 'no'} {i}"}
        gold = "good" if i % 2 else "bad"
        example = LabelledExample(f"r{i}", f"g{i}", fields, (Vote("ann", gold),))
        rows.append(TrainingRow(example, fields, gold, scored(0.6)))
    tried, weights = try_guidelines(
        judge,
        [Guideline(good), Guideline(harmful), Guideline("Not tried on any row", pinned=True)],
        rows,
        [list(range(16)), list(range(16)), []],
        calls=20,
        concurrency=2,
        tell=lambda done, total: None,
    )
    assert [g.state for g in tried] == ["active", "retired", "active"]
    assert weights[0] > PRIOR > weights[1]
    assert (tried[0].contradict, tried[1].support) == (0, 0)
    assert tried[2].uplift is None
    assert server.completions <= 20
