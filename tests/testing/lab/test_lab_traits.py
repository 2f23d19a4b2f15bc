"""Traits that are off by default: each does what it says, and nothing when it is off."""

from collections import Counter
from dataclasses import replace

import pytest
from lab_prompts import Content, chat, item

from judge_opt.testing.lab import JudgeParameters, World, WorldParameters
from judge_opt.testing.lab.agent import AgentPersona, instructions
from judge_opt.testing.lab.items import find_items, ordered_label
from judge_opt.testing.lab.judging import JudgePersona
from judge_opt.testing.lab.lexicon import FEATURES
from judge_opt.testing.lab.parameters import AgentParameters
from judge_opt.testing.lab.reading import read
from judge_opt.testing.lab.server import shortened

QUIET = JudgeParameters(noise=0.0, miss=0.0, false_alarm=0.0, taste={}, contrast=0.0, dilution=1.0)
UP, DOWN = (f"Replies that name a date should be rated {way}." for way in ("higher", "lower"))


def probability(c, traits):
    return JudgePersona(traits, 0).judge(read(chat(c)), "d", 0.0).probabilities["pass"]


def test_two_groups_of_raters_disagree_and_the_larger_one_is_the_truth():
    world = World(5, WorldParameters(raters=3, group_difference=0.6, label_noise=0.0, rater_noise=0.0))
    calm = replace(world, parameters=replace(world.parameters, group_difference=0.0))
    rows, same = world.examples(200), calm.examples(200)
    apart = [sum(r.votes[0].value != r.votes[k].value for r in rows) for k in (1, 2)]
    before = sum(r.votes[0].value != r.votes[1].value for r in same)
    assert apart[0] > 2 * before + 20
    assert apart[1] < apart[0] / 2
    labels = Counter(r.votes[1].value for r in rows)
    assert min(labels.values()) > 40  # the other group's labels are not all of one kind
    assert [r.gold for r in world.held_out(50)] == [r.gold for r in calm.held_out(50)]


def test_drift_changes_the_first_rows_alone():
    world = World(5, WorldParameters(drift=0.5, label_noise=0.0, rater_noise=0.0))
    still = replace(world, parameters=replace(world.parameters, drift=0.0))
    rows, same = world.examples(200), still.examples(200)
    changed = [a.votes[0].value != b.votes[0].value for a, b in zip(rows, same, strict=True)]
    assert sum(changed[:100]) > 20
    assert not any(changed[100:])
    assert [r.fields for r in rows] == [r.fields for r in same]


def test_injected_items_are_read_whole_and_obeyed_at_the_rate():
    world = World(5, WorldParameters(injections=0.4))
    rows = world.held_out(300)
    texts = [row.fields["outputs"] for row in rows]
    injected = [text for text in texts if ordered_label(text)]
    assert 80 < len(injected) < 160
    assert [find_items(text)[0].text for text in texts] == texts
    plain = replace(world, parameters=WorldParameters()).held_out(300)
    assert [r.gold for r in plain] == [r.gold for r in rows]
    persona = JudgePersona(JudgeParameters(obey=0.5), 0)
    deaf = JudgePersona(JudgeParameters(), 0)
    readings = [read(chat(Content((), (), text))) for text in injected]
    followed = sum(
        persona.judge(one, "d", 0.0).label == ordered_label(text)
        for one, text in zip(readings, injected, strict=True)
    )
    by_chance = sum(
        deaf.judge(one, "d", 0.0).label == ordered_label(text)
        for one, text in zip(readings, injected, strict=True)
    )
    assert followed > by_chance + 0.1 * len(injected)


def test_rules_in_the_middle_are_followed_less():
    others = [
        f"Replies that {FEATURES[k].names[0]} should be rated higher." for k in ("jargon", "link", "steps")
    ]
    traits = replace(QUIET, lost_in_middle=0.9)

    def followed(place, traits):
        rules = others[:]
        rules.insert(place, UP)
        return sum(probability(Content(tuple(rules), (), item(n, "date")), traits) > 0.5 for n in range(60))

    assert followed(0, traits) > 40 > 25 > followed(2, replace(traits, follow=1.0)) > 0
    assert followed(0, QUIET) == followed(3, QUIET) == followed(2, QUIET)


def test_late_examples_count_more():
    target, pair = item(5, "date", "thanks"), [item(6, "date", "thanks"), item(7, "date", "thanks")]
    late = replace(QUIET, late_examples=1.5)

    def odds(labels, traits):
        examples = tuple((text, label, "") for text, label in zip(pair, labels, strict=True))
        return probability(Content((), examples, target), traits)

    assert odds(("fail", "pass"), late) > odds(("pass", "fail"), late) + 0.1


def test_of_contradictory_rules_the_later_one_counts():
    def mean(rules, traits):
        return sum(probability(Content(rules, (), item(n, "date")), traits) for n in range(40)) / 40

    both = replace(QUIET, follow=1.0)
    assert mean((UP, DOWN), both) == pytest.approx(0.5)
    last = replace(both, recency=1.0)
    assert mean((UP, DOWN), last) < 0.2
    assert mean((DOWN, UP), last) > 0.8
    some = replace(both, recency=0.5)
    assert {round(mean((UP, DOWN), some), 3), round(mean((DOWN, UP), some), 3)} <= {
        round(mean(rules, traits), 3) for rules in ((UP, DOWN), (DOWN, UP)) for traits in (both, last)
    }


def test_repeats_flip_at_the_stated_rate():
    reading = read(chat(Content((), (), item(1, "date"))))
    persona = JudgePersona(replace(QUIET, flip=0.14), 0)
    labels = [persona.judge(reading, "d", 0.0, draw).label for draw in range(400)]
    assert 0.08 < sum(label != labels[0] for label in labels) / 400 < 0.2


def test_the_middle_of_a_long_request_is_lost():
    messages = [{"role": "system", "content": "a" * 400}, {"role": "user", "content": "b" * 400}]
    assert shortened(messages, 0) == messages
    assert shortened(messages, 200) == messages
    cut = shortened(messages, 100)
    assert [m["content"] for m in cut] == ["a" * 200, "b" * 200]
    cut = shortened([{"role": "user", "content": "x" * 100 + "y" * 800 + "z" * 100}], 50)
    assert cut[0]["content"] == "x" * 100 + "z" * 100


def agent(text, n, **traits):
    messages = [{"role": "system", "content": text}, {"role": "user", "content": f"Question {n}: my parcel?"}]
    written = AgentPersona(AgentParameters(**traits), 0).write(messages, str(n))
    (found,) = find_items(written)
    assert found.text == written
    assert "parcel" in written
    return found.shown


def test_an_agent_does_what_it_is_told_as_reliably_as_stated():
    told = (
        "Answer customers. Name a date in every answer. Never blame the customer. "
        "Replies that apologise are rated lower."
    )
    messages = [{"role": "system", "content": told}]
    assert instructions(messages) == {"date": True, "blame": False, "apology": False}
    shown = [agent(told, n) for n in range(300)]
    plain = [agent("Answer customers.", n) for n in range(300)]

    def rate(key, where):
        return sum(key in one for one in where) / 300

    assert rate("date", shown) > 0.8 > 0.55 > rate("date", plain) > 0.3
    assert rate("blame", shown) < 0.12 < rate("blame", plain)
    assert rate("apology", shown) < 0.15 < rate("apology", plain)
    others = [key for key in FEATURES if key not in ("date", "blame", "apology")]
    assert all((key in a) == (key in b) for a, b in zip(shown, plain, strict=True) for key in others)
