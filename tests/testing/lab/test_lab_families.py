"""The registered comparison: frozen, apart from each other, and without leaks."""

import itertools
import json
from pathlib import Path

import pytest

from judge_opt.testing.lab.families import CONTROLS, FAMILIES, registration
from judge_opt.testing.lab.lexicon import FEATURES

ALL = [*FAMILIES.values(), *CONTROLS.values()]
DOCS = Path(__file__).parents[3] / "docs" / "lab.md"


def test_the_registration_is_the_one_that_was_written_down():
    assert f"`{registration()}`" in DOCS.read_text()


def test_no_two_families_share_a_world():
    starts = sorted(family.first_seed for family in ALL)
    assert all(b - a >= 200 for a, b in itertools.pairwise(starts))
    assert all(family.worlds(2)[1].seed == family.first_seed + 1 for family in ALL)


@pytest.mark.parametrize("family", ALL, ids=lambda one: one.name)
def test_labels_are_balanced_and_no_held_out_item_is_among_the_labelled(family):
    world = family.worlds(1)[0]
    train, held_out = world.examples(40), world.held_out(60)
    assert not {r.fields["outputs"] for r in train} & {r.fields["outputs"] for r in held_out}
    assert not {r.id for r in train} & {r.id for r in held_out}
    counts = [sum(r.gold == label for r in held_out) for label in world.value_type.choices()]
    assert max(counts) - min(counts) <= 1


def test_no_text_of_a_world_names_a_feature_by_its_key_or_tells_the_policy():
    """Names in code occur in no item but as words of the language; no number of the policy is anywhere."""
    world = FAMILIES["many criteria"].worlds(1)[0]
    text = json.dumps([[r.fields, [v.rationale for v in r.votes]] for r in world.examples(60)])
    assert not [key for key in FEATURES if f'"{key}"' in text]
    assert not [w for _, w in world.policy.weights if f"{w:.3f}" in text]


def test_the_perfect_judge_is_the_policy_of_its_world():
    family = CONTROLS["perfect judge"]
    one, two = family.worlds(2)
    assert family.served(one).judge.policy == one.policy != family.served(two).judge.policy
    assert FAMILIES["easy"].served(one).judge.policy is None
