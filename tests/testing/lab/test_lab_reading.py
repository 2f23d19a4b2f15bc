"""What the lab's model reads: items, labels, reasons and rules in any order and format."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lab_prompts import FORMS, Content, content, item

from judge_opt.testing.lab.draws import stream
from judge_opt.testing.lab.grammar import STRENGTHS, Rule, sentences, statement
from judge_opt.testing.lab.items import find_items, write_item
from judge_opt.testing.lab.lexicon import FEATURES, LABEL_SETS, LABELS, NUISANCE
from judge_opt.testing.lab.reading import read

KEYS = sorted(FEATURES)
LITERALS = st.lists(st.tuples(st.sampled_from(KEYS), st.booleans()), min_size=1, max_size=2).map(
    lambda found: tuple(sorted(dict(found).items()))
)
EFFECTS = st.one_of(
    st.tuples(st.sampled_from((1, -1)), st.just("")), st.tuples(st.none(), st.sampled_from(LABELS))
)
RULES = st.builds(
    lambda literals, effect, strength: Rule(literals, *effect, strength=strength),
    LITERALS,
    EFFECTS,
    st.sampled_from(sorted(STRENGTHS.values())),
)


@given(RULES, st.integers(0, 10_000))
def test_a_statement_of_the_grammar_is_read_as_the_rule_that_was_written(rule, seed):
    text = f"Judge well.\n- {statement(rule, stream(seed))}\n- Be brief."
    assert [one.rule for one in sentences(text)] == [rule]


@pytest.mark.parametrize(
    "text",
    [
        "It names a date, and that counts against it for me.",
        "I like that it does not blame the customer.",
        "The judge should have said fail because it names a date.",
        "The expert said it should be rated lower: it names a date.",
        "This reply apologises, which deserves a better verdict.",
        "EXPERTS: fail because: It blames the customer, in my opinion.",
        "The reply thanks the customer.",
        "Names a date.",
    ],
)
def test_feedback_on_one_item_is_no_rule(text):
    found = sentences(text)
    assert found
    assert [one.rule for one in found] == [None]


@pytest.mark.parametrize(
    ("text", "literals", "direction", "label"),
    [
        ("Whenever a response gives a day, prefer it.", (("date", True),), 1, ""),
        ("Penalise answers without naming a date.", (("date", False),), -1, ""),
        ("Answers that apologise should pass.", (("apology", True),), None, "pass"),
        ("Always rate lower what fails to express regret.", (("apology", False),), -1, ""),
        ("Not thanking the customer counts strongly against a reply.", (("thanks", False),), -1, ""),
        ("Every reply that names a date should not be rated higher.", (("date", True),), -1, ""),
        (
            "If a reply names a date, rate it higher unless it blames the customer.",
            (("blame", False), ("date", True)),
            1,
            "",
        ),
    ],
)
def test_rules_in_other_words_are_read(text, literals, direction, label):
    (one,) = sentences(text)
    assert one.rule is not None
    assert (one.rule.literals, one.rule.direction, one.rule.label) == (literals, direction, label)


@given(st.sets(st.sampled_from(KEYS)), st.integers(0, 9999), st.integers(0, 3))
def test_an_item_is_read_back_whatever_surrounds_it(shown, seed, nuisance):
    rng = stream("item", seed)
    text = write_item("parcel", seed, sorted(shown), nuisance, rng)
    for around in (text, f'{{"reply": {json.dumps(text)}}}', text.replace(" ", "\n"), f"<a>{text}</a> end."):
        (found,) = find_items(around)
        assert found.shown == shown


def test_wordings_do_not_overlap():
    sentences_ = [s for f in FEATURES.values() for s in f.sentences] + list(NUISANCE)
    assert len({s.lower() for s in sentences_}) == len(sentences_)
    assert not [s for s in sentences_ if any(one.literals for one in sentences(s))]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
@pytest.mark.parametrize("number", range(12))
def test_every_form_of_one_content_is_read_alike(form, number):
    c = content(number)
    reading = read(form(c))
    assert reading.scale == ("fail", "pass")
    assert reading.judged is not None
    assert reading.judged.item.text == c.item
    assert not reading.judged.labels
    assert not reading.judged.reasons
    assert set(reading.rules) == {one.rule for rule in c.rules for one in sentences(rule)}
    got = {r.item.text: (r.labels, [one.literals for one in r.reasons]) for r in reading.records}
    del got[c.item]
    assert got == {
        text: ([label], [one.literals for one in sentences(reason)]) for text, label, reason in c.examples
    }


def test_labels_that_stand_before_their_item_are_its_own():
    """A reader that looks only behind items gives each item the label of the next one."""
    items = [item(k, "date") for k in range(4)]
    labels = ["pass", "fail", "fail", "pass"]
    text = "\n".join(
        f'{{"id": {k}, "label": "{v}", "reply": "{t}"}}'
        for k, (t, v) in enumerate(zip(items, labels, strict=True))
    )
    reading = read([{"role": "user", "content": f"Labels are pass or fail.\n{text}\nWrite guidelines."}])
    assert [r.labels for r in reading.records] == [[v] for v in labels]


@pytest.mark.parametrize("labels", LABEL_SETS, ids=lambda labels: "-".join(labels))
def test_the_labels_that_may_be_given_are_no_labels_of_items(labels):
    text = f"The verdict is one of: {', '.join(labels)}.\n\n{item(1, 'date')}\n\nSay {' or '.join(labels)}."
    reading = read([{"role": "user", "content": text}])
    assert reading.scale == labels
    assert reading.records[0].labels == []


def test_what_the_model_said_is_not_what_people_said():
    text = f"ITEM\n{item(1, 'date')}\nEXPERTS: pass because: It names a date.\nJUDGE: fail because: It apologises."
    (record,) = read([{"role": "user", "content": text}]).records
    assert (record.labels, record.model_labels) == (["pass"], ["fail"])
    assert [one.literals for one in record.reasons] == [(("date", True),)]


def test_headings_say_whose_words_stand_below_them():
    text = "\n\n".join(
        f"# Example {k}\n## Inputs\n### reply\n{item(k, 'date')}\n\n## Generated\n### verdict\nfail\n\n"
        "### why\nIt apologises.\n\n## Feedback\nThe right label is: pass. Reason: It names a date."
        for k in (1, 2)
    )
    records = read([{"role": "user", "content": f"Labels: pass or fail.\n\n{text}"}]).records
    assert [(r.labels, r.model_labels) for r in records] == [(["pass"], ["fail"])] * 2
    assert [[one.literals for one in r.reasons] for r in records] == [[(("date", True),)]] * 2


def test_what_the_model_said_before_is_no_guideline():
    rule = "Replies that name a date should be rated lower."
    turns = [("user", item(1)), ("assistant", rule), ("user", item(2))]
    assert read([{"role": r, "content": t} for r, t in turns]).rules == ()
    assert len(read([{"role": "system", "content": rule}, {"role": "user", "content": item(2)}]).rules) == 1


def test_the_forms_tell_contents_apart():
    """The comparison above could not fail if reading lost everything."""
    one, two = content(1), content(2)
    for form in FORMS:
        assert read(form(one)).rules != read(form(Content(two.rules, one.examples, one.item))).rules
