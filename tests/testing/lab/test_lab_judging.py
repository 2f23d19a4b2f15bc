"""The judge persona: blind to form, moved by rules and examples, noisy within bounds."""

from dataclasses import replace

import pytest
from lab_prompts import FORMS, Content, chat, content, item

from judge_opt.testing.lab import JudgeParameters
from judge_opt.testing.lab.judging import JudgePersona
from judge_opt.testing.lab.lexicon import FEATURES
from judge_opt.testing.lab.reading import read

QUIET = JudgeParameters(noise=0.0)


def probability(c, form=chat, traits=QUIET, digest="d"):
    verdict = JudgePersona(traits, 0).judge(read(form(c)), digest, 0.0)
    return verdict.probabilities["pass"]


@pytest.mark.parametrize("number", range(20))
def test_reformatting_and_reordering_change_nothing_but_noise(number):
    c = content(number)
    assert len({round(probability(c, form), 9) for form in FORMS}) == 1


def test_with_noise_two_forms_differ_as_little_as_two_draws():
    traits, n = JudgeParameters(), 150
    persona = JudgePersona(traits, 0)
    pairs = {"forms": 0, "draws": 0}
    for number in range(n):
        c = content(number)
        one = persona.judge(read(FORMS[1](c)), f"a{number}", 0.0).label
        pairs["forms"] += one != persona.judge(read(FORMS[2](c)), f"b{number}", 0.0).label
        pairs["draws"] += one != persona.judge(read(FORMS[1](c)), f"c{number}", 0.0).label
    assert 0 < pairs["draws"] < 0.3 * n  # noise there is, and it does not decide most items
    assert abs(pairs["forms"] - pairs["draws"]) < 0.08 * n


def test_words_around_the_content_change_nothing():
    c = content(3)
    plain = chat(c)
    padded = [dict(m) for m in plain]
    padded[0]["content"] = (
        "You are a careful grader. [[ ## x ## ]] Think step by step.\n"
        + padded[0]["content"]
        + "\nThank you!"
    )
    persona = JudgePersona(QUIET, 0)
    assert persona.judge(read(plain), "d", 0.0) == persona.judge(read(padded), "d", 0.0)


@pytest.mark.parametrize(("key", "up"), [("date", True), ("date", False), ("blame", True), ("thanks", False)])
def test_a_rule_moves_the_items_that_it_speaks_of(key, up):
    rule = f"Replies that {FEATURES[key].names[0]} should be rated {'higher' if up else 'lower'}."
    moves = []
    for number in range(40):
        for shown in ((key,), ()):
            target = item(number, *shown)
            before, after = (probability(Content(r, (), target)) for r in ((), (rule,)))
            # Taste for features that the rule does not name fades too: compare with a rule on nothing shown.
            moves.append((bool(shown), after - before))
    with_, without = ([m for there, m in moves if there is flag] for flag in (True, False))
    assert (sum(with_) / 40 > sum(without) / 40) == up


def test_rules_are_followed_less_where_they_are_many():
    target = "A reply that names a date deserves a much better verdict."
    filler = [
        f"Replies that {f.names[0]} should be rated higher." for k, f in FEATURES.items() if k != "date"
    ]
    flat = replace(QUIET, taste={}, contrast=0.0, miss=0.0, false_alarm=0.0, dilution=0.5)
    few = [probability(Content((target,), (), item(n, "date")), traits=flat) > 0.6 for n in range(80)]
    many = [
        probability(Content((target, *filler), (), item(n, "date")), traits=flat) > 0.6 for n in range(80)
    ]
    assert sum(few) > 60 > 30 > sum(many)


def test_near_examples_pull_and_far_ones_do_not():
    target = item(5, "date", "thanks")
    twin = target.replace("10005", "10006")
    far = "Regarding your login, case 4: A null pointer in the middleware caused it."
    pulls = {}
    for name, text in (("twin", twin), ("far", far)):
        odds = [probability(Content((), ((text, label, ""),), target)) for label in ("pass", "fail")]
        pulls[name] = odds[0] - odds[1]
    assert pulls["twin"] > 0.3
    assert abs(pulls["far"]) < 0.1


def test_reasons_in_examples_are_weak_rules():
    deaf = replace(QUIET, reason_weight=0.0)
    c = content(7)
    sensitive = [n for n in range(30) if probability(content(n)) != probability(content(n), traits=deaf)]
    assert len(sensitive) > 5
    strong = replace(QUIET, reason_weight=0.0, follow=0.0)
    assert probability(c, traits=strong) != probability(c)


def test_a_judge_that_ignores_guidelines_judges_the_same_with_any():
    deaf = replace(QUIET, follow=0.0)
    for number in range(20):
        c = content(number)
        assert probability(c, traits=deaf) == probability(Content((), c.examples, c.item), traits=deaf)
    assert probability(content(1)) != probability(Content((), content(1).examples, content(1).item))


def test_temperature_draws_and_the_same_request_repeats():
    persona = JudgePersona(JudgeParameters(), 0)
    cold, hot = (
        {persona.judge(read(chat(content(4))), "d", t, draw).label for draw in range(60)} for t in (0.0, 3.0)
    )
    assert len(hot) == 2
    assert persona.judge(read(chat(content(4))), "d", 3.0, 7) == persona.judge(
        read(chat(content(4))), "d", 3.0, 7
    )
    assert cold <= {"pass", "fail"}


def test_features_are_missed_at_the_stated_rate():
    persona = JudgePersona(JudgeParameters(miss=0.3, false_alarm=0.0), 0)
    seen = [
        "date" in persona.seen(read([{"role": "user", "content": item(n, "date")}]).records[0].item)
        for n in range(400)
    ]
    assert 0.6 < sum(seen) / 400 < 0.8


def test_without_an_item_or_labels_there_is_no_verdict():
    persona = JudgePersona(QUIET, 0)
    assert persona.judge(read([{"role": "user", "content": "pass or fail?"}]), "d", 0.0) is None
    assert persona.judge(read([{"role": "user", "content": item(1, "date")}]), "d", 0.0) is None


def test_without_rules_it_judges_by_its_own_taste():
    def mean(traits, *shown):
        odds = [probability(Content((), (), item(n, *shown)), traits=traits) for n in range(30)]
        return sum(odds) / len(odds)

    assert mean(QUIET, "thanks") > mean(QUIET, "blame") + 0.3
    none = replace(QUIET, taste={})
    assert mean(none, "thanks") == pytest.approx(mean(none, "blame"))
    rule = "Replies that name a date should be rated higher."
    told, untold = (probability(Content(r, (), item(1, "blame"))) for r in ((rule,), ()))
    assert told != untold  # a rule makes what it does not name count less
