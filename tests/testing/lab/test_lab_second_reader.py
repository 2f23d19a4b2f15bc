"""The second reader on forms of no framework, and held against the first."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lab_prompts import FORMS, content
from real_prompts import PROMPTS

from judge_opt.testing.lab.draws import stream
from judge_opt.testing.lab.reading import read
from judge_opt.testing.lab.second_reader import second_read


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
@pytest.mark.parametrize("number", range(8))
def test_both_readers_read_every_form_alike(form, number):
    messages = form(content(number))
    one, two = read(messages), second_read(messages)
    assert two.scale == one.scale
    assert set(two.rules) == set(one.rules)
    assert [e.text for e in two.entries] == [r.item.text for r in one.records]
    assert [e.labels for e in two.entries] == [r.labels for r in one.records]
    assert [e.reasons for e in two.entries] == [[s.literals for s in r.reasons] for r in one.records]


def _facts(messages):
    """What the first reader finds, by item."""
    found = read(messages)
    return (
        {
            (r.item.text, *sorted(set(r.labels)), *r.scores, *sorted({str(s.literals) for s in r.reasons}))
            for r in found.records
        },
        set(found.rules),
        found.scale,
    )


WORDS = (
    "carefully",
    "Please note the following.",
    "You are a helpful grader.",
    "Think step by step.",
    "Thank you.",
)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(PROMPTS), st.integers(0, 10_000))
def test_words_around_real_prompts_change_nothing(prompt, seed):
    """Further boilerplate before, between the paragraphs of instructions, and after."""
    rng = stream("boilerplate", seed)
    messages = [dict(m) for m in prompt["messages"]]
    first = messages[0]["content"]
    head, gap, rest = first.partition("\n\n")
    if "Regarding your" not in head:
        messages[0]["content"] = f"{rng.choice(WORDS)}\n\n{head}\n\n{rng.choice(WORDS)}{gap}{rest}"
    messages[-1]["content"] += f"\n\n{rng.choice(WORDS)}"
    assert _facts(messages) == _facts(prompt["messages"])


RENAMED = {"Example": "Record", "rationale": "explanation", "Judgements": "Ratings", "Feedback": "Comment"}


@pytest.mark.parametrize("prompt", PROMPTS, ids=range(len(PROMPTS)))
def test_a_frameworks_own_words_are_nothing_to_the_reader(prompt):
    """Names of fields and headings are replaced by others of the same kind."""
    messages = [dict(m) for m in prompt["messages"]]
    for message in messages:
        for old, new in RENAMED.items():
            message["content"] = message["content"].replace(old, new)
    assert _facts(messages) == _facts(prompt["messages"])
