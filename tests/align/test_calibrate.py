"""Calibration: each form recovers what it is for, the gate refuses what does not help, and it is data."""

import json

import alignment_world as world
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge_opt.align.calibrate import Calibrate, calibrated
from judge_opt.align.calibration_fits import fit_cuts, fit_isotonic, fit_linear, fits_for
from judge_opt.align.objective import metric_for
from judge_opt.core.errors import IntegrityError
from judge_opt.core.results import Scored, Unscored
from judge_opt.core.values import BOOL, categories, interval, ordered, scale
from judge_opt.judges.calibration import Calibration
from judge_opt.judges.stored import dump_judge, load_judge
from judge_opt.labels.examples import LabelledExample, Vote

ABC = categories("a", "b", "c")


def rows_of(values, raters=("ann",)):
    """One row a value (or a list of values, one a rater), two rows to a group."""
    made = []
    for i, value in enumerate(values):
        own = value if isinstance(value, list) else [value] * len(raters)
        votes = tuple(Vote(r, v) for r, v in zip(raters, own, strict=True))
        made.append(LabelledExample(f"r{i:03}", f"g{i // 2}", {"outputs": str(i)}, votes))
    return made


def tried(gold, said, value_type, seed=0, **options):
    rows = rows_of(gold)
    metric = metric_for(value_type, rows, options.pop("metric", "auto"))
    return calibrated(rows, said, value_type, metric, seed=seed, **options)


def test_labels_that_the_judge_mixes_up_are_put_right():
    rng = np.random.default_rng(0)
    gold = [str(g) for g in rng.choice(list("abc"), 90)]
    swap = {"a": "b", "b": "c", "c": "a"}
    found = tried(gold, [Scored(swap[g]) for g in gold], ABC)
    assert found.calibration is not None
    assert [found.calibration.apply(Scored(swap[g]), ABC).value for g in gold] == gold
    assert "b is read as a" in found.calibration.describe(ABC)
    assert found.gate.before < found.gate.after


def test_a_lenient_judge_gets_another_threshold():
    rng = np.random.default_rng(1)
    gold = [bool(g) for g in rng.random(120) < 0.3]
    odds = 1 / (1 + np.exp(-(np.where(gold, 1.0, -1.0) * 1.5 + 2.5 + rng.normal(size=120))))
    said = [
        Scored(bool(p > 0.5), confidence=max(p, 1 - p), probabilities={"true": p, "false": 1 - p})
        for p in odds
    ]
    found = tried(gold, said, BOOL)
    assert found.calibration is not None
    assert found.gate.after > found.gate.before + 0.2


def test_an_ordered_scale_that_is_shifted_is_cut_anew():
    steps = scale(1, 5)
    rng = np.random.default_rng(2)
    truth = rng.integers(1, 6, 120)
    said = [Scored(int(np.clip(t + 1 + rng.integers(0, 2) * (rng.random() < 0.3), 1, 5))) for t in truth]
    found = tried([int(t) for t in truth], said, steps)
    assert found.calibration is not None
    assert found.gate.after > found.gate.before


def test_numbers_are_shifted_and_stretched():
    span = interval(0, 10)
    rng = np.random.default_rng(3)
    x = rng.uniform(2, 8, 60)
    rows = rows_of([float(v) for v in np.clip(2 * x - 6, 0, 10)])
    said = [Scored(float(v)) for v in x]
    made = fit_linear(rows, said, span)
    assert made.numbers["slope"] == pytest.approx(2, abs=0.25)
    assert 0 <= made.apply(Scored(9.9), span).value <= 10
    assert calibrated(rows, said, span, metric_for(span)).calibration is not None


def test_each_raters_severity_is_found_and_the_panel_is_between():
    steps = ordered("lo", "mid", "hi")
    rng = np.random.default_rng(4)
    x = rng.normal(size=200)
    mild = [str(v) for v in np.asarray(steps.labels)[np.digitize(x + 1, [-0.7, 0.7])]]
    strict = [str(v) for v in np.asarray(steps.labels)[np.digitize(x - 1, [-0.7, 0.7])]]
    rows = rows_of([list(pair) for pair in zip(mild, strict, strict=True)], ("mild", "strict"))
    centre = np.exp(-((np.arange(3)[None] - (x[:, None] + 1)) ** 2))
    centre /= centre.sum(axis=1, keepdims=True)
    said = [Scored("mid", probabilities=dict(zip(steps.labels, p, strict=True))) for p in centre.tolist()]
    made = fit_cuts(rows, said, steps)
    assert made.raters["mild"] > 0.5 > -0.5 > made.raters["strict"]
    at = said[int(np.argmin(np.abs(x)))]
    order = [steps.labels.index(made.apply(at, steps, rater=r).value) for r in ("strict", None, "mild")]
    assert order == sorted(order)
    assert order[0] < order[2]
    assert made.apply(at, steps, rater="nobody") == made.apply(at, steps)
    assert fit_isotonic(rows, said, steps).raters["mild"] > 0


def test_a_judge_that_is_right_already_is_left_alone():
    rng = np.random.default_rng(5)
    for seed in range(3):
        gold = [str(g) for g in rng.choice(list("abc"), 60)]
        said = [Scored(g if rng.random() < 0.95 else "a") for g in gold]
        found = tried(gold, said, ABC, seed=seed)
        assert found.calibration is None, found.gate
        assert found.form == "untouched"


def test_labels_without_a_pattern_are_not_learned():
    kept = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        gold, said = rng.choice(list("abc"), 60), rng.choice(list("abc"), 60)
        kept += (
            tried([str(g) for g in gold], [Scored(str(v)) for v in said], ABC, seed).calibration is not None
        )
    assert kept <= 4


def test_failures_stay_failures_and_change_nothing():
    rng = np.random.default_rng(6)
    gold = [str(g) for g in rng.choice(list("abc"), 80)]
    swap = {"a": "b", "b": "a", "c": "c"}
    said = [Scored(swap[g]) for g in gold]
    whole = tried(gold, said, ABC)
    failed = [Unscored("unparseable")] * 10
    more = tried([*gold, *["a"] * 10], [*said, *failed], ABC)
    assert more.calibration.to_json() == whole.calibration.to_json()
    assert more.gate.rows == whole.gate.rows == 80
    assert all(isinstance(j, Unscored) for j in more.held[80:])


forms = st.sampled_from(["confusion", "bias", "dirichlet", "cuts", "isotonic"])


@settings(max_examples=25)
@given(forms, st.integers(0, 10_000), st.booleans())
def test_every_form_gives_a_verdict_of_its_kind_and_survives_json(form, seed, sure):
    steps = ordered("lo", "mid", "hi", "top")
    rng = np.random.default_rng(seed)
    odds = rng.dirichlet(np.ones(4), 30)
    said = [
        Scored(
            steps.labels[int(p.argmax())],
            probabilities=dict(zip(steps.labels, p, strict=True)) if sure else None,
        )
        for p in odds
    ]
    rows = rows_of([str(v) for v in rng.choice(steps.labels, 30)])
    fits = fits_for(steps, said)
    if form not in fits:
        assert not sure
        return
    made = fits[form](rows, said, steps)
    again = Calibration.from_json(json.loads(json.dumps(made.to_json())))
    for j in said:
        found = made.apply(j, steps)
        assert found.value in steps.labels
        assert found == again.apply(j, steps)
        assert found.details["uncalibrated"] == j.value
        if found.probabilities is not None:
            assert sum(found.probabilities.values()) == pytest.approx(1)
            assert min(found.probabilities.values()) >= 0
            assert found.confidence == found.probabilities[found.value]
    assert made.describe(steps)


@pytest.mark.parametrize(
    "broken",
    [
        {"form": "evil", "numbers": {}, "weights": [], "raters": {}, "rows": 1},
        {"form": "linear", "numbers": {"slope": 1.0}, "weights": [], "raters": {}, "rows": 1},
        {
            "form": "linear",
            "numbers": {"slope": float("nan"), "bias": 0},
            "weights": [],
            "raters": {},
            "rows": 1,
        },
    ],
)
def test_a_stored_calibration_that_is_broken_is_refused(broken):
    with pytest.raises(IntegrityError):
        Calibration.from_json(broken)


def test_a_calibrated_judge_is_stored_and_judges_the_same(server, in_session):
    in_session()
    server.answer = lambda body: world.verdict(
        "bad" if "Thursday" in body["messages"][-1]["content"] else "good"
    )
    judge, rows = world.judge(server), world.rows(60)
    result = Calibrate(concurrency=4).align(judge, rows)
    assert result.changed
    assert server.completions == 60 == result.calls
    assert judge.calibration is None
    state, blobs = dump_judge(result.judge)
    loaded = load_judge(json.loads(json.dumps(state)), blobs)
    for row in world.rows(10, seed=4):
        said = result.judge(**row.fields)
        assert said.value == row.gold
        assert said.metadata["uncalibrated"] != row.gold
        assert loaded(**row.fields).value == said.value
    again = Calibrate().align(result.judge, rows)
    assert not again.changed
    assert "calibration" not in dump_judge(judge)[0]
