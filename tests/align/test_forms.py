"""A part that harms is switched off; where nothing helps the untouched judge stays."""

import random

import numpy as np
import pytest

from judge_opt.align.forms import Forms
from judge_opt.align.objective import metric_for, metric_name
from judge_opt.align.rows import TrainingRow
from judge_opt.core.results import Scored, Unscored
from judge_opt.core.values import categories
from judge_opt.labels.examples import LabelledExample, Vote

LABELS = categories("good", "bad")
METRIC = metric_for(LABELS, name=metric_name(LABELS))


def scored(p):
    return Scored("good" if p > 0.5 else "bad", None, max(p, 1 - p), {"good": p, "bad": 1 - p})


def judgements(share, n=60, seed=0):
    """Right for this share of the rows."""
    rng = random.Random(seed)
    right = [rng.random() < share for _ in range(n)]
    return {i: scored(0.8 if (i % 2 == 1) == right[i] else 0.2) for i in range(n)}


def forms(plain=0.7, n=60, sources=None):
    said = judgements(plain, n)
    rows = []
    for i in range(n):
        gold = "good" if i % 2 else "bad"
        example = LabelledExample(f"r{i}", f"g{i}", {"outputs": str(i)}, (Vote("ann", gold),))
        rows.append(TrainingRow(example, {"outputs": str(i)}, gold, said[i]))
    made = Forms(rows, LABELS, sources or {}, np.asarray([LABELS.choices().index(r.gold) for r in rows]), 0)
    made.add((), said)
    return made


def test_a_part_that_helps_stays_and_one_that_harms_goes():
    made = forms()
    made.add(("guidelines",), judgements(1.0))
    made.add(("guidelines", "examples"), judgements(0.4, seed=2))
    found, stays = made.decide("guidelines", ("guidelines",), ())
    assert stays
    assert found.gain > 0
    found, stays = made.decide("examples", ("guidelines", "examples"), ("guidelines",))
    assert not stays
    assert found.gain < 0
    assert made.ranked()[0].parts == ("guidelines",)


def test_a_draw_keeps_guidelines_and_drops_examples_which_cost_more():
    made = forms()
    made.add(("guidelines",), judgements(0.7))
    made.add(("examples",), judgements(0.7))
    assert not made.decide("examples", ("examples",), ())[1]
    # Exactly nothing, without doubt, is no reason to keep anything.
    assert not made.decide("guidelines", ("guidelines",), ())[1]
    made.add(("guidelines",), judgements(0.7, seed=5))
    found, stays = made.decide("guidelines", ("guidelines",), ())
    assert stays == (found.gain + found.error > 0)


def test_the_same_judgements_are_no_improvement():
    made = forms()
    made.add(("guidelines",), judgements(0.7))
    assert not made.harmless(made.made["guidelines",], METRIC).keep


def test_only_what_is_surely_better_is_harmless():
    made = forms()
    made.add(("guidelines",), judgements(1.0))
    made.add(("examples",), judgements(0.4, seed=2))
    assert made.harmless(made.made["guidelines",], METRIC).keep
    assert not made.harmless(made.made["examples",], METRIC).keep


def test_a_form_that_leaves_rows_without_a_verdict_is_not_considered():
    made = forms()
    lost = {i: Unscored("refused", "no") if i < 30 else j for i, j in judgements(1.0).items()}
    made.add(("guidelines",), lost)
    assert not made.covers(made.made["guidelines",])
    assert not made.decide("guidelines", ("guidelines",), ())[1]
    assert made.ranked() == []
    assert list(made.table(METRIC)) == ["untouched"]


def test_forms_are_compared_on_the_rows_that_both_judged():
    made = forms()
    made.add(("guidelines",), {i: j for i, j in judgements(1.0).items() if i >= 50})
    found = made.compare(made.made[()], made.made["guidelines",])
    assert found.rows == 10
    made.add(("guidelines",), {i: j for i, j in judgements(1.0).items() if i >= 58})
    assert not made.decide("guidelines", ("guidelines",), ())[1]


def test_fusion_with_a_source_that_knows_the_label_is_found_and_noise_is_not():
    right = np.asarray([[0.9, 0.1] if i % 2 else [0.1, 0.9] for i in range(60)])
    made = forms(0.6, sources={"classifier": right})
    assert made.decide("fusion", ("fusion",), ())[1]
    assert made.harmless(made.made["fusion",], METRIC).keep
    rng = np.random.default_rng(1)
    noise = rng.dirichlet([1.0, 1.0], size=60)
    useless = forms(0.9, sources={"classifier": noise})
    assert not useless.harmless(useless.made["fusion",], METRIC).keep


def test_the_loss_of_a_row_is_the_log_probability_of_what_its_raters_said():
    made = forms()
    assert made.made[()].loss[1] == pytest.approx(
        -np.log(0.8 if made.rows[1].judged.value == "good" else 0.2), abs=2e-3
    )
