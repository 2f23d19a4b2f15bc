"""Both readers against what the frameworks' real prompts say."""

from collections import defaultdict

import pytest
from real_prompts import PROMPTS, SCALES, Said, rules, truth

from judge_opt.testing.lab.reading import read
from judge_opt.testing.lab.replies import choices_of
from judge_opt.testing.lab.second_reader import second_read

IDS = [f"{p['arm']}-{p['world']}-{p['model']}-{k}" for k, p in enumerate(PROMPTS)]


def schema(prompt):
    return (prompt.get("response_format") or {}).get("json_schema", {}).get("schema")


def first(prompt):
    """What the server's reader finds: items, rules, scale, item under judgement."""
    found = read(prompt["messages"], choices_of(schema(prompt)))
    said = defaultdict(Said)
    for record in found.records:
        entry = said[record.item.text]
        entry.people |= set(record.labels)
        entry.model |= set(record.model_labels)
        entry.reasons |= {one.literals for one in record.reasons}
        entry.scores |= {round(score, 6) for score in record.scores}
    return dict(said), set(found.rules), found.scale


def second(prompt):
    found = second_read(prompt["messages"], choices_of(schema(prompt)))
    said = defaultdict(Said)
    for one in found.entries:
        entry = said[one.text]
        entry.people |= set(one.labels)
        entry.model |= set(one.model_labels)
        entry.reasons |= set(one.reasons)
        entry.scores |= {round(score, 6) for score in one.scores}
    return dict(said), set(found.rules), found.scale


@pytest.mark.parametrize("reader", [first, second])
@pytest.mark.parametrize("prompt", PROMPTS, ids=IDS)
def test_a_real_prompt_is_read_as_its_format_says(prompt, reader):
    said, found_rules, scale = reader(prompt)
    true = truth(prompt)
    assert set(said) == set(true)
    for item, expected in true.items():
        assert said[item].people == expected.people, item
        assert said[item].model == expected.model, item
        assert said[item].reasons == expected.reasons, item
        assert said[item].scores == expected.scores, item
    assert found_rules == rules(prompt)
    if any(one.people or one.model for one in true.values()) or prompt["model"] == "sim-judge":
        assert scale == SCALES[prompt["world"]]


def test_the_prompts_hold_what_the_tests_are_about():
    """Every framework, and labels, model's labels, reasons and rules, in each world."""
    assert {p["arm"].split(".")[0] for p in PROMPTS} == {"few_shot", "mlflow", "dspy", "judge_opt"}
    for world in SCALES:
        true = [said for p in PROMPTS if p["world"] == world for said in truth(p).values()]
        assert sum(bool(said.people) for said in true) > 150
        assert sum(bool(said.model) for said in true) > 20
        assert sum(bool(said.reasons) for said in true) > 100
        assert sum(bool(said.scores) for said in true) >= 3
        assert sum(len(rules(p)) for p in PROMPTS if p["world"] == world) > 40


@pytest.mark.parametrize("prompt", [p for p in PROMPTS if p["model"] == "sim-judge"])
def test_the_item_under_judgement_is_the_last_one(prompt):
    judged = read(prompt["messages"], choices_of(schema(prompt))).judged
    assert judged is not None
    assert judged.item.text in " ".join(prompt["messages"][-1]["content"].replace("\\n", "\n").split())
