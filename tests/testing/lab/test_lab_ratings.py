"""Bare numbers beside items: read by both readers, in any order and form, and only where no label is given."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lab_prompts import TASK, item
from real_prompts import PROMPTS

from judge_opt.testing.lab import LabServer, Parameters, ReflectionParameters
from judge_opt.testing.lab.lexicon import FEATURES
from judge_opt.testing.lab.reading import read
from judge_opt.testing.lab.second_reader import second_read

REASONS = [f"It {FEATURES[key].third[0]}." for key in sorted(FEATURES)[:5]]
SHOWN = [item(900 + k, *sorted(FEATURES)[k : k + 2]) for k in range(5)]


def after(rows):
    return "\n\n".join(f"Reply: {t}\nScore: {n}\nReason: {r}" for t, n, r in rows)


def before(rows):
    return "\n\n".join(f"score = {n}\nreason: {r}\nreply: {t}" for t, n, r in rows)


def tight(rows):
    return "\n".join(f"{t}\nrating: {n} ({r})" for t, n, r in rows)


def objects(rows):
    return "\n".join(json.dumps({"reply": t, "reward": n, "why": r}, indent=2) for t, n, r in rows)


def tags(rows):
    return "\n".join(
        f"<run>\n<reply>{t}</reply>\n<score>{n}</score>\n<why>{r}</why>\n</run>" for t, n, r in rows
    )


def headings(rows):
    return "\n\n".join(
        f"# Run {k}\n## score\n{n}\n\n## reply\n{t}\n\n## why\n{r}" for k, (t, n, r) in enumerate(rows, 1)
    )


def traced(rows):
    """Each item twice, its number between the two."""
    return "\n\n".join(
        f"# Example {k}\n## trace\n### outputs\n{t}\n\n## score\n{n}\n\n## outputs\n{t}\n\n## why\n{r}"
        for k, (t, n, r) in enumerate(rows, 1)
    )


def named(rows):
    return "\n\n".join(f"Reply: {t}\nScores: quality: {n}\nReason: {r}" for t, n, r in rows)


def spoken(rows):
    return "\n\n".join(f"Reply: {t}\nThis got a score of {n}.\nReason: {r}" for t, n, r in rows)


FORMS = (after, before, tight, objects, tags, headings, traced, named, spoken)


def one(text):
    found = read([{"role": "user", "content": text}])
    assert not any(record.labels or record.model_labels for record in found.records)
    return [(r.item.text, r.scores, [s.literals for s in r.reasons]) for r in found.records]


def two(text):
    found = second_read([{"role": "user", "content": text}])
    assert not any(entry.labels or entry.model_labels for entry in found.entries)
    return [(e.text, e.scores, e.reasons) for e in found.entries]


def said(reader, text):
    """(item, score) of those that have one."""
    return [(name, scores[0]) for name, scores, _ in reader(text) if scores]


@pytest.mark.parametrize("reader", [one, two])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from((0.0, 0.25, 0.5, 1.0)), min_size=2, max_size=5))
def test_a_number_rates_its_item_in_every_form(form, reader, given_numbers):
    rows = list(zip(SHOWN, given_numbers, REASONS, strict=False))
    found = reader(form(rows))
    rated = [(name, scores) for name, scores, _ in found if scores]
    assert rated == [(t, [2 * n - 1]) for t, n, _ in rows]
    assert [len(reasons) for _, scores, reasons in found if scores] == [1] * len(rows)


@pytest.mark.parametrize("reader", [one, two])
@pytest.mark.parametrize(
    ("written", "goodness"),
    [
        (("0/5", "5/5"), (-1, 1)),
        (("1 out of 4", "3 out of 4"), (-0.5, 0.5)),
        (("10%", "75%"), (-0.8, 0.5)),
        (("1", "5"), (-1, 1)),
        (("2", "4"), (-0.5, 0.5)),
        (("0", "5"), (-1, 1)),
        (("1", "10"), (-1, 1)),
        (("40", "90"), (-0.2, 0.8)),
        (("-1", "1"), (-1, 1)),
        (("-0.5", "0.5"), (-0.5, 0.5)),
        (("250", "900"), ()),
    ],
)
def test_the_scale_is_the_one_that_holds_all_numbers(reader, written, goodness):
    rows = list(zip(SHOWN, written, REASONS, strict=False))
    told = [score for _, score in said(reader, after(rows))]
    assert told == pytest.approx(list(goodness))


@pytest.mark.parametrize("reader", [one, two])
@pytest.mark.parametrize(
    "words",
    [
        "Scores run from 0 to 1.",
        "A score of 1 is perfect.",
        "index: 3",
        "Confidence score: 0.9",
        "case 7 of 12",
        "The rating scale has 5 steps.",
        "tokens: 71",
    ],
)
def test_what_rates_nothing_is_no_score(reader, words):
    assert said(reader, f"{words}\n\n{SHOWN[0]}\n\n{words}\n\n{SHOWN[1]}\n{words}") == []


@pytest.mark.parametrize("prompt", [p for p in PROMPTS if p["arm"] != "mlflow.optimize_prompts"])
def test_where_a_label_is_given_no_number_is_read(prompt):
    """Also beside the labels of every framework's real prompts: what was read of them before stays."""
    messages = [dict(one) for one in prompt["messages"]]
    assert not any(record.scores for record in read(messages).records)
    labelled = any(record.labels or record.model_labels for record in read(messages).records)
    if labelled:
        messages[-1]["content"] += "\n\nScore: 0.5"
        assert not any(record.scores for record in read(messages).records)
        assert not any(entry.scores for entry in second_read(messages).entries)


def test_the_reflection_learns_from_numbers_what_it_learns_from_labels():
    """Reasons alone would say nothing: the number decides whether what they name is good."""
    key = sorted(FEATURES)[0]
    reason = f"It {FEATURES[key].third[0]}."
    exact = ReflectionParameters(comprehend=1.0, flip=0.0, specific=0.0, forget=0.0, hallucinated=0.0)
    task = "```\nYou answer customers.\n```\nWrite a new instruction for the agent.\n\n"

    def made(low, high, name):
        rows = [(t, high if k % 2 else low, reason if k % 2 else "") for k, t in enumerate(SHOWN)]
        text = task + "\n\n".join(f"Reply: {t}\n{name}: {n}\nReason: {r}" for t, n, r in rows)
        with LabServer(Parameters(reflection=exact)) as server:
            server._client.key = ""
            body = {"model": "sim-reflect", "messages": [{"role": "user", "content": text}]}
            reply = json.loads(server._answer(body).raw)["choices"][0]["message"]["content"]
        (found,) = [r for r in read([{"role": "user", "content": reply}]).rules if r.literals[0][0] == key]
        return found.direction

    assert made("0.0", "1.0", "Score") == made("fail", "pass", "Expert label") == 1
    assert made("1.0", "0.0", "Score") == made("pass", "fail", "Expert label") == -1


def test_a_judge_that_is_shown_numbers_still_judges_the_last_item():
    text = f"{TASK}\n\n{after(list(zip(SHOWN[:3], (0.0, 1.0, 1.0), REASONS, strict=False)))}\n\nReply: {SHOWN[4]}"
    judged = read([{"role": "user", "content": text}]).judged
    assert judged is not None
    assert judged.item.text == SHOWN[4]
