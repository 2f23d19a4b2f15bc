"""The reflection persona: proposes what is shown, within its comprehension."""

from dataclasses import replace

import pytest

from judge_opt.testing.lab import ReflectionParameters, World, WorldParameters
from judge_opt.testing.lab.grammar import sentences
from judge_opt.testing.lab.reading import read
from judge_opt.testing.lab.reflecting import ReflectionPersona

EXACT = ReflectionParameters(comprehend=1.0, flip=0.0, specific=0.0, hallucinated=0.0)


def request(world, rows, before=False, reasons=True):
    parts = []
    for row in rows:
        why = f"\nReason: {row.rationale}" if reasons and row.rationale else ""
        label, text = f"Expert label: {row.gold}{why}", row.fields["outputs"]
        parts.append(f"{label}\n{text}" if before else f"{text}\n{label}")
    ask = f"Labels: {' or '.join(world.parameters.labels)}. Write at most 6 guidelines.\n\n"
    return [{"role": "user", "content": ask + "\n\n".join(parts)}]


def proposed(world, rows, traits=EXACT, **form):
    """Feature to direction, of the rules with one condition."""
    rules = ReflectionPersona(traits, 0).propose(read(request(world, rows, **form)), "d")
    read_back = [one.rule for rule in rules for one in sentences(rule)]
    assert len(read_back) == len(rules)  # what it writes is what a judge reads
    return {r.literals[0][0]: r.direction for r in read_back if len(r.literals) == 1}


def right(world, found):
    weights = dict(world.policy.weights)
    return [(weights.get(key, 0.0) > 0) == (way > 0) for key, way in found.items() if key in weights]


@pytest.mark.parametrize("before", [False, True], ids=["item first", "label first"])
def test_honest_reasons_become_true_rules(before):
    world = World(3, WorldParameters(honest=1.0, label_noise=0.0, rater_noise=0.0))
    found = proposed(world, world.examples(50), before=before)
    assert len(right(world, found)) >= 3
    assert all(right(world, found))


def test_the_order_of_the_records_does_not_matter_where_all_is_understood():
    world = World(3)
    rows = world.examples(40)
    assert proposed(world, rows) == proposed(world, rows[::-1]) == proposed(world, rows, before=True)


def test_with_reasons_more_is_found_than_without():
    with_, without = 0, 0
    for seed in range(8):
        world = World(seed, WorldParameters(honest=1.0))
        rows = world.examples(30)
        with_ += sum(right(world, proposed(world, rows)))
        without += sum(right(world, proposed(world, rows, reasons=False)))
    assert with_ > without > 0


def test_labels_alone_show_only_what_is_associated():
    world = World(1)
    strict = replace(EXACT, association=3.0)
    assert proposed(world, world.examples(40), strict, reasons=False) == {}


def test_nothing_labelled_nothing_proposed():
    world = World(1)
    text = "\n\n".join(row.fields["outputs"] for row in world.examples(20))
    reading = read([{"role": "user", "content": f"Labels: pass or fail. Write rules.\n\n{text}"}])
    assert ReflectionPersona(replace(EXACT, hallucinated=1.0), 0).propose(reading, "d") == []
    assert ReflectionPersona(replace(EXACT, hallucinated=1.0), 0).propose(read([]), "d") == []


def test_it_errs_at_the_stated_rates():
    world = World(3, WorldParameters(honest=1.0, label_noise=0.0, rater_noise=0.0))
    reading = read(request(world, world.examples(50)))

    def rules(traits):
        return [
            one.rule
            for draw in range(30)
            for rule in ReflectionPersona(traits, 0).propose(reading, "d", draw)
            for one in sentences(rule)
        ]

    truth = {r.literals: r.direction for r in rules(EXACT)}
    flipped = rules(replace(EXACT, flip=0.4))
    share = sum(r.direction != truth[r.literals] for r in flipped) / len(flipped)
    assert 0.2 < share < 0.6
    narrow = rules(replace(EXACT, specific=0.5))
    assert 0.25 < sum(len(r.literals) == 2 for r in narrow) / len(narrow) < 0.75
    assert len(rules(replace(EXACT, hallucinated=1.0, rules=99))) >= len(rules(EXACT))


def test_no_more_rules_than_are_asked_for_and_none_that_is_known():
    world = World(3)
    messages = request(world, world.examples(50))
    persona = ReflectionPersona(EXACT, 0)
    assert len(persona.propose(read(messages), "d", limit=2)) == 2
    first = persona.propose(read(messages), "d")
    messages[0]["content"] = "Known: " + " ".join(first) + "\n\n" + messages[0]["content"]
    known = {(o.rule.literals, o.rule.direction) for rule in first for o in sentences(rule)}
    again = {
        (o.rule.literals, o.rule.direction)
        for rule in persona.propose(read(messages), "d")
        for o in sentences(rule)
    }
    assert not known & again


def test_a_guess_is_made_only_where_nothing_else_is_found():
    world = World(3)
    few = read(request(world, world.examples(3), reasons=False))
    silent, guessing = replace(EXACT, guess=0.0), replace(EXACT, guess=1.0)
    assert ReflectionPersona(silent, 0).propose(few, "d") == []
    made = [ReflectionPersona(guessing, 0).propose(few, f"d{k}") for k in range(20)]
    assert all(len(rules) == 1 for rules in made)
    shown = frozenset().union(*(record.item.shown for record in few.records))
    rules = [one.rule for (text,) in made for one in sentences(text)]
    assert {rule.literals[0][0] for rule in rules} <= shown
    assert len({rule.literals for rule in rules}) > 2
    many = read(request(world, world.examples(40)))
    assert ReflectionPersona(silent, 0).propose(many, "d") == ReflectionPersona(guessing, 0).propose(
        many, "d"
    )
