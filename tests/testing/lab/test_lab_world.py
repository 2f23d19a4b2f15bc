"""Worlds: repeatable, balanced, with a truth that raters blur."""

from collections import Counter

import pytest

from judge_opt.core.errors import UsageError
from judge_opt.testing.lab import World, WorldParameters
from judge_opt.testing.lab.grammar import sentences
from judge_opt.testing.lab.items import find_items
from judge_opt.testing.lab.lexicon import LABEL_SETS

HONEST = WorldParameters(honest=1.0, label_noise=0.0, rater_noise=0.0, rater_bias=0.0)


def shown(row):
    return find_items(row.fields["outputs"])[0].shown


def test_the_same_seed_is_the_same_world():
    assert World(5).examples(20) == World(5).examples(20)
    assert World(5).policy == World(5).policy
    assert World(5).examples(20) != World(6).examples(20)
    assert World(5).examples(20, seed=1) != World(5).examples(20, seed=2)


@pytest.mark.parametrize("labels", LABEL_SETS, ids=lambda labels: "-".join(labels))
@pytest.mark.parametrize("seed", range(3))
def test_truth_is_balanced(labels, seed):
    world = World(seed, WorldParameters(labels=labels))
    counts = Counter(row.gold for row in world.held_out(60))
    assert set(counts.values()) == {60 // len(labels)}
    assert [world.value_type.text_of(v) for v in counts]
    assert len(counts) == len(labels)


def test_training_and_held_out_rows_are_different_items():
    world = World(2)
    texts = [row.fields["outputs"] for row in (*world.examples(60), *world.held_out(60))]
    assert len(set(texts)) == 120


@pytest.mark.parametrize("seed", range(5))
def test_labels_follow_the_policy_and_noise_blurs_them(seed):
    clean, noisy = World(seed, HONEST), World(seed, WorldParameters(label_noise=0.3))

    def wrong(world):
        rows = world.examples(100)
        return sum(row.gold != world.policy.label_of(world.policy.score(shown(row))) for row in rows)

    assert wrong(clean) == 0
    assert 15 <= wrong(noisy) <= 55


def test_raters_differ_in_severity():
    world = World(1, WorldParameters(raters=3, rater_bias=1.5))
    rows = world.examples(150)
    assert {len(row.votes) for row in rows} == {3}
    passes = [sum(row.votes[k].value == "pass" for row in rows) for k in range(3)]
    mildest = max(range(3), key=world.severity.__getitem__)
    assert passes[mildest] == max(passes) > min(passes)


def test_honest_reasons_name_what_decided_and_none_is_a_rule():
    world = World(4, HONEST)
    for row in world.examples(80):
        for one in sentences(row.rationale):
            assert one.rule is None
            for key, there in one.literals:
                assert (key in shown(row)) == there
                assert (dict(world.policy.weights)[key] > 0) == (there == (row.gold == "pass"))


def test_reasons_can_be_withheld_vague_or_wrong():
    none = World(4, WorldParameters(rationales=0.0)).examples(30)
    assert {row.rationale for row in none} == {None}
    vague = World(4, WorldParameters(honest=0.0, vague=1.0)).examples(30)
    assert not [one for row in vague for one in sentences(row.rationale)]
    world = World(4, WorldParameters(honest=0.0, vague=0.0))
    said = {k for row in world.examples(30) for one in sentences(row.rationale) for k, _ in one.literals}
    assert said
    assert not said & set(dict(world.policy.weights))


def test_an_easy_world_has_fewer_cases_near_the_border():
    def near(difficulty):
        world = World(3, WorldParameters(difficulty=difficulty))
        return sum(world.policy.margin(world.policy.score(shown(r))) for r in world.held_out(200))

    assert near(0.0) > 1.1 * near(1.0)


def test_the_true_rules_are_read_as_the_policy():
    world = World(9)
    read = [one.rule for rule in world.rules() for one in sentences(rule)]
    assert len(read) == len(world.policy.weights) + len(world.policy.interactions)
    alone = {r.literals[0][0]: r.direction for r in read if len(r.literals) == 1}
    assert alone == {key: (1 if w > 0 else -1) for key, w in world.policy.weights}


@pytest.mark.parametrize(
    "wrong",
    [
        {"labels": ("a", "b")},
        {"features": 0},
        {"features": 99},
        {"decisive": 9, "features": 8},
        {"raters": 0},
    ],
    ids=str,
)
def test_what_no_world_can_be_is_refused(wrong):
    with pytest.raises(UsageError):
        World(0, WorldParameters(**wrong))
