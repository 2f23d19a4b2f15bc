"""What real requests of several kinds get: each was answered wrongly once, and each changed a ranking."""

import json

import pytest

from judge_opt.testing.lab import LabServer, Parameters, ReflectionParameters, World
from judge_opt.testing.lab.reading import read
from judge_opt.testing.lab.reflecting import shown_instruction
from judge_opt.testing.lab.scores import right_label
from judge_opt.testing.lab.sources import names

OLD = "Judge the reply.\nReplies that apologise should be rated higher."
EXACT = Parameters(reflection=ReflectionParameters(comprehend=1.0, flip=0.0, specific=0.0, forget=0.0))


def reply(text, **more):
    with LabServer(EXACT) as server:
        server._client.key = ""
        body = {"model": "sim-reflect", "messages": [{"role": "user", "content": text}], **more}
        return json.loads(server._answer(body).raw)["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    "shown",
    [
        f"```\n{OLD}\n```",
        f"# Current instruction\n{OLD}\n\n# Examples\nnone",
        f"[[ ## current_instruction ## ]]\n{OLD}\n\n[[ ## examples ## ]]\nnone",
        f"<current_instruction>\n{OLD}\n</current_instruction>\nNothing else.",
    ],
)
def test_the_instruction_to_rewrite_is_found_wherever_it_stands(shown):
    assert shown_instruction(f"Write a new instruction.\n\n{shown}\n\nThank you.").strip().startswith(OLD)


def test_a_slot_for_an_instruction_is_none_and_advice_is_no_instruction():
    slot = "Write a new instruction.\n\n# Current instruction\n{current_instruction}\n\n# Examples"
    assert shown_instruction(slot) == ""
    assert shown_instruction(f"Give advice.\n\n# Original instruction\n{OLD}") == ""


def test_rules_that_the_request_tells_elsewhere_are_in_the_new_instruction():
    text = "Observations: Replies that name a date should be rated lower."
    made = reply(f"{text}\n\n# Basic instruction\nJudge well.\n\n# Task\nWrite a better instruction.")
    assert made.startswith("Judge well.")
    assert "Replies that name a date should be rated lower." in made


def test_a_summary_of_rules_holds_them():
    assert "name a date" in reply("Summarize: Replies that name a date should be rated lower.")


@pytest.mark.parametrize(
    ("text", "scale", "label"),
    [
        ("This got a score of False.", ("fail", "pass"), ["pass"]),
        ("score: 0.0", ("fail", "pass"), ["pass"]),
        ('"reward_value": true', ("fail", "pass"), ["fail"]),
        ("# worse_reward_value\n0.0", ("fail", "pass"), ["pass"]),
        ("score of 1.0", ("poor", "fair", "good", "excellent"), []),
        ("score of 0.0", ("poor", "fair", "good", "excellent"), []),
        ("no number here", ("fail", "pass"), []),
    ],
)
def test_a_score_tells_the_right_label_where_it_can(text, scale, label):
    assert right_label(text, "fail", scale) == label


def test_a_score_makes_a_labelled_record():
    (row,) = World(3).examples(1)
    text = f"Labels: pass or fail.\n\n{row.fields['outputs']}\nGenerated verdict: fail\nScore: 0.0"
    (record,) = read([{"role": "user", "content": text}]).records
    assert (record.labels, record.model_labels) == (["pass"], ["fail"])


def test_an_object_with_named_keys_is_filled_by_its_keys():
    rows = "\n\n".join(
        f"{r.fields['outputs']}\nExpert label: {r.gold}\nReason: {r.rationale}" for r in World(3).examples(10)
    )
    ask = (
        f'Labels: pass or fail.\n\n{rows}\n\nModules: ["first", "second"]\n\n'
        "Answer with JSON fields `discussion`, then `advice` (must be a dict[str, str])."
    )
    found = json.loads(reply(ask))
    assert set(found["advice"]) == {"first", "second"}
    assert "repl" in found["advice"]["first"].lower()


def test_the_closing_mark_stands_alone():
    (row,) = World(3).examples(1)
    ask = "Reply with `<<rules>>`, and end with `<<over>>`."
    text = reply(f"Labels: pass or fail.\n\n{row.fields['outputs']}\nExpert label: {row.gold}\n\n{ask}")
    assert text.endswith("<<over>>")


def test_records_are_called_as_the_request_calls_them():
    rows = World(3).examples(3)
    shown = "\n".join(f"Record #{k}7: {row.fields['outputs']} -> {row.gold}" for k, row in enumerate(rows, 1))
    assert names(read([{"role": "user", "content": shown}])) == ["17", "27", "37"]
    bare = "\n\n".join(row.fields["outputs"] for row in rows)
    assert names(read([{"role": "user", "content": f"Top 5:\n{bare}"}])) == ["1", "2", "3"]
