"""A small judge learns from a strong one; what to label next."""

import alignment_world as world
import numpy as np
import pytest

from judge_opt.align.calibrate import Calibrate
from judge_opt.align.distil import DistilToSmall
from judge_opt.align.memalign import MemAlign
from judge_opt.align.suggest import entropy, suggest
from judge_opt.core.errors import DataError, UsageError
from judge_opt.core.results import Scored
from judge_opt.core.values import BOOL
from judge_opt.judges.make import make_judge

EMBED = "openai:/embed"


def strong(server):
    return make_judge(
        "strong",
        f"Is {{{{ outputs }}}} good? {world.RULE}",
        "openai:/big",
        world.LABELS,
        base_url=server.base_url,
    )


def distil(server, n=60, **options):
    items = [row.fields for row in world.rows(n, seed=7)]
    inner = MemAlign(embedder=EMBED, guidelines=0, shots=0, concurrency=4)
    return DistilToSmall(strong(server), items, inner, concurrency=4, **options)


def test_a_small_judge_becomes_as_good_as_its_teacher(server, in_session):
    in_session()
    small, train = world.judge(server), world.rows(20)
    result = distil(server).align(small, train)
    assert result.changed
    assert result.calls == server.completions
    scores = {c.name: c.score for c in result.candidates}
    assert scores["strong"] > 0.9
    assert scores["distilled"] > scores["untouched"] + 0.3
    test = world.rows(30, seed=9)
    said = result.judge.batch([row.fields for row in test])
    assert np.mean([f.value == row.gold for f, row in zip(said, test, strict=True)]) > 0.9
    assert result.judge.model == small.model


def test_labelled_rows_are_no_pseudo_labels_and_people_decide(server, in_session):
    in_session()
    train = world.rows(20)
    optimizer = distil(server)
    both = DistilToSmall(
        optimizer.strong, [*optimizer.unlabelled, *[r.fields for r in train]], optimizer.inner
    )
    result = both.align(world.judge(server), train)
    texts = {e.parts["outputs"] for e in result.judge.memory.episodic.episodes}
    assert not texts & {row.fields["outputs"] for row in train}
    server.answer = world.perfect
    already = distil(server).align(world.judge(server), world.rows(20, seed=5))
    assert not already.changed


def test_a_teacher_of_other_values_or_unsure_ones_is_refused(server, in_session):
    in_session()
    other = make_judge("s", "Is {{ outputs }} good?", "openai:/big", BOOL, base_url=server.base_url)
    with pytest.raises(DataError, match="of the same values"):
        DistilToSmall(other, []).align(world.judge(server), world.rows(20))
    assert server.completions == 0
    with pytest.raises(DataError, match="Only 0 of 0"):
        DistilToSmall(strong(server), [], Calibrate()).align(world.judge(server), world.rows(20))


def test_the_uncertain_the_disputed_and_the_far_come_first(server, in_session):
    in_session()
    rows = world.rows(40, seed=3)
    items = [row.fields for row in rows]
    judge, other = world.judge(server), strong(server)
    disputed = {
        i
        for i, row in enumerate(rows)
        if ("thank" in row.fields["outputs"]) != ("Thursday" in row.fields["outputs"])
    }
    picks = suggest(judge, items, 8, candidates=[other], by=["disagreement"], concurrency=4)
    assert {p.index for p in picks} <= disputed
    assert len({p.index for p in picks}) == 8
    assert picks == suggest(judge, items, 8, candidates=[other], by=["disagreement"], concurrency=1)
    asked = server.completions
    far = suggest(judge, items, 5, by=["coverage"], embedder=EMBED, labelled=rows[:1])
    assert server.completions == asked
    assert far[0].distance == max(p.distance for p in far)
    assert all(p.distance > 0 for p in far)
    whole = suggest(judge, items, 5, candidates=[other], embedder=EMBED, pool=20, concurrency=4)
    assert len(whole) == 5
    assert all(p.why for p in whole)


def test_entropy_and_bad_arguments(server, in_session):
    in_session()
    assert entropy(Scored("good", probabilities={"good": 0.5, "bad": 0.5}), world.LABELS) == pytest.approx(1)
    assert entropy(Scored("good", probabilities={"good": 1.0, "bad": 0.0}), world.LABELS) == 0
    assert entropy(Scored("good"), world.LABELS) is None
    with pytest.raises(UsageError, match="No way"):
        suggest(world.judge(server), [{}], 1, by=["magic"])
    with pytest.raises(UsageError, match="nothing to pick"):
        suggest(world.judge(server), [], 1)
