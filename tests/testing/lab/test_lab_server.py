"""The lab's server over HTTP: real prompts of our judge and of DSPy's adapters, and what must not leak."""

import ast
import json
import re
import urllib.request
from pathlib import Path
from typing import Literal

import dspy
import pytest
from lab_prompts import chat, content, item

import judge_opt.testing.lab as lab
from judge_opt import Session, use_session
from judge_opt.core.results import Scored, Unscored
from judge_opt.testing.lab import JudgeParameters, LabServer, Parameters, World, WorldParameters
from judge_opt.testing.lab.embedding import DIMENSION
from judge_opt.testing.lab.judging import JudgePersona
from judge_opt.testing.lab.reading import read

QUIET = Parameters(judge=JudgeParameters(noise=0.0))
SOURCES = sorted(Path(lab.__file__).parent.glob("*.py"))
CLIENT_SIDE = {"world.py", "families.py", "references.py", "__init__.py"}


@pytest.fixture
def server():
    with LabServer(QUIET) as running:
        yield running


@pytest.fixture(autouse=True)
def session(tmp_path):
    with Session(tmp_path) as opened, use_session(opened):
        yield opened


def post(server, path="/chat/completions", **body):
    request = urllib.request.Request(
        server.base_url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.load(reply)


def said(server, messages, model="sim-judge", **more):
    return post(server, model=model, messages=messages, **more)["choices"][0]["message"]["content"]


class Accept(dspy.Signature):
    """Would our experts accept this reply?"""

    question: str = dspy.InputField()
    reply: str = dspy.InputField()
    rationale: str = dspy.OutputField()
    verdict: Literal["fail", "pass"] = dspy.OutputField()


RULES = (
    "Replies that apologise should be rated much lower.",
    "If a reply thanks the customer, rate it higher.",
)
ADAPTERS = (dspy.ChatAdapter, dspy.JSONAdapter, dspy.XMLAdapter)


def demos():
    return [
        {"question": "Well?", "reply": item(1, "date"), "rationale": "It names a date.", "verdict": "pass"},
        {
            "question": "Well?",
            "reply": item(2, "blame"),
            "rationale": "It blames the customer.",
            "verdict": "fail",
        },
    ]


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda one: one.__name__)
def test_dspys_prompts_are_read(adapter):
    signature = Accept.with_instructions(Accept.instructions + "\n" + "\n".join(RULES))
    messages = adapter().format(signature, demos(), {"question": "Well?", "reply": item(3, "apology")})
    reading = read(messages)
    assert reading.scale == ("fail", "pass")
    assert reading.judged.item.text == item(3, "apology")
    assert [r.labels for r in reading.records] == [["pass"], ["fail"], []]
    assert [[o.literals for o in r.reasons] for r in reading.records] == [
        [(("date", True),)],
        [(("blame", True),)],
        [],
    ]
    assert [r.literals for r in reading.rules] == [(("apology", True),), (("thanks", True),)]


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda one: one.__name__)
def test_dspys_programs_get_verdicts_that_they_can_read(adapter, server, session):
    lm = session.lm("openai:/sim-judge", purpose="judge", base_url=server.base_url)
    program = dspy.Predict(Accept.with_instructions(Accept.instructions + "\n" + "\n".join(RULES)))
    program.demos = demos()
    persona = JudgePersona(QUIET.judge, QUIET.seed)
    with dspy.context(lm=lm, adapter=adapter()):
        for number in range(6):
            reply = item(20 + number, *(("apology",) if number % 2 else ("thanks",)))
            found = program(question="Well?", reply=reply)
            messages = adapter().format(program.signature, demos(), {"question": "Well?", "reply": reply})
            expected = persona.judge(read(messages), "any", 0.0)
            assert (found.verdict, found.rationale) == (expected.label, expected.rationale)
    assert server.asked == {"judge": 6}


def test_our_own_judges_prompts_are_read(server):
    world = World(2)
    rows = world.held_out(6)
    judge = world.judge(server, "\n".join(world.rules()))
    feedback = judge.batch([row.fields for row in rows])
    assert all(isinstance(one.result, Scored) for one in feedback)
    for request in server.requests:
        reading = read(request.body["messages"], ("fail", "pass"))
        assert len(reading.records) == 1
        assert len(reading.rules) == len(world.rules())
        assert not reading.judged.labels
    assert {r.item.text for q in server.requests for r in read(q.body["messages"]).records} == {
        row.fields["outputs"] for row in rows
    }


def test_our_own_judges_examples_are_read(server):
    world = World(2)
    judge = world.judge(server)
    rows = world.examples(4)
    shown = [
        {
            judge.template.variables[0].field: row.fields["outputs"],
            "verdict": row.gold,
            "rationale": row.rationale,
        }
        for row in rows[:3]
    ]
    judge.ask({"inputs": "Well?", "outputs": rows[3].fields["outputs"]}, guidelines=(), demos=shown)
    (request,) = server.requests
    reading = read(request.body["messages"])
    assert [r.labels for r in reading.records] == [[row.gold] for row in rows[:3]] + [[]]
    assert reading.judged.item.text == rows[3].fields["outputs"]


def test_the_probabilities_reach_our_judge(server):
    world = World(2, WorldParameters(labels=("poor", "fair", "good", "excellent")))
    judge = world.judge(server)
    (feedback,) = judge.batch([world.held_out(1)[0].fields])
    assert set(feedback.probabilities) == {"poor", "fair", "good", "excellent"}
    (request,) = server.requests
    verdict = JudgePersona(QUIET.judge, 0).judge(read(request.body["messages"]), "any", 0.0)
    assert feedback.value == verdict.label
    assert feedback.probabilities == pytest.approx(dict(verdict.probabilities), abs=1e-6)


@pytest.mark.parametrize("labels", [("false", "true"), ("no", "yes")], ids=str)
def test_truth_values_are_verdicts_too(labels, server):
    world = World(2, WorldParameters(labels=labels))
    feedback = world.judge(server).batch([row.fields for row in world.held_out(8)])
    assert {type(one.value) for one in feedback} == {bool if labels == ("false", "true") else str}


def test_the_same_request_has_the_same_reply_and_another_seed_another():
    messages = chat(content(4))

    def replies(**seed):
        with LabServer(Parameters(**seed)) as server:
            return [said(server, messages, temperature=1.5, seed=k) for k in range(30)]

    assert replies() == replies() != replies(seed=1)


def test_repeats_can_be_drawn_again_and_n_draws_several():
    messages = chat(content(4))
    with LabServer(Parameters(fresh_repeats=True)) as server:
        assert len({said(server, messages, temperature=3.0) for _ in range(30)}) == 2
        assert len({said(server, messages, temperature=0.0) for _ in range(10)}) == 1
    with LabServer() as server:
        choices = post(server, model="sim-judge", messages=messages, temperature=3.0, n=30)["choices"]
        assert [c["index"] for c in choices] == list(range(30))
        assert len({c["message"]["content"] for c in choices}) == 2


def test_malformed_replies_come_at_their_rate_and_are_no_verdicts(tmp_path):
    world = World(1)
    with LabServer(Parameters(judge=JudgeParameters(malformed=0.5))) as server:
        found = world.judge(server).batch([row.fields for row in world.held_out(60)])
    failed = sum(isinstance(one.result, Unscored) for one in found)
    assert 3 <= failed <= 30  # half of the replies, and each is asked about once more


def test_usage_grows_with_the_prompt(server):
    short, long = (post(server, model="sim-judge", messages=chat(content(1))[k:])["usage"] for k in (-1, 0))
    assert long["prompt_tokens"] > short["prompt_tokens"] > 0
    assert short["total_tokens"] == short["prompt_tokens"] + short["completion_tokens"]


def test_embeddings_are_unit_vectors_nearer_for_what_is_alike(server):
    texts = [
        item(1, "date", "thanks"),
        item(1, "date", "thanks").replace("10001", "10002"),
        item(9, "jargon"),
    ]
    rows = [r["embedding"] for r in post(server, "/embeddings", model="sim-embed", input=texts)["data"]]
    assert {len(row) for row in rows} == {DIMENSION}
    near, far = (sum(x * y for x, y in zip(rows[0], rows[k], strict=True)) for k in (1, 2))
    assert near > far
    assert sum(x * x for x in rows[0]) == pytest.approx(1.0)


def test_reflection_answers_in_the_form_that_is_asked_for(server):
    rows = "\n\n".join(
        f"{row.fields['outputs']}\nExpert label: {row.gold}\nReason: {row.rationale}"
        for row in World(3).examples(30)
    )
    ask = "Labels: pass or fail. Write rules."
    schema = {"type": "object", "properties": {"rules": {"type": "array", "items": {"type": "string"}}}}
    nested = {
        "type": "object",
        "properties": {
            "guidelines": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "text": {"type": "string"},
                        "ids": {"type": "array", "items": {"type": "integer"}},
                    },
                },
            }
        },
    }
    forms = {}
    for name, text, more in (
        ("schema", ask, schema),
        ("nested", ask, nested),
        ("skeleton", ask + ' Use {"guidelines": [{"text": str, # short\n "ids": list[int]}, ...]}', None),
        ("named", ask + ' Answer as JSON: {"rules": ["...", "..."]}', None),
        ("fence", ask + " Put them between ``` marks.", None),
    ):
        format_ = more and {"type": "json_schema", "json_schema": {"name": "x", "schema": more}}
        messages = [{"role": "user", "content": f"{rows}\n\n{text}"}]
        forms[name] = said(server, messages, "sim-reflect", **({"response_format": format_} if more else {}))
    rules = json.loads(forms["schema"])["rules"]
    assert len(rules) > 2
    for name in ("nested", "skeleton"):
        assert {type(g["text"]) for g in json.loads(forms[name])["guidelines"]} == {str}
        told = [g["ids"] for g in json.loads(forms[name])["guidelines"]]
        assert all(ids and set(ids) <= set(range(1, 31)) for ids in told)
    assert len(json.loads(forms["named"])["rules"]) > 2
    assert forms["fence"].startswith("```")
    assert forms["fence"].endswith("```")


def test_an_instruction_is_rewritten_with_what_it_had(server):
    (row,) = World(3).examples(1)
    old = "Judge the reply to {{ inputs }}.\nReplies that apologise should be rated higher."
    text = f"Improve this instruction:\n```\n{old}\n```\n{row.fields['outputs']}\nExpert label: {row.gold}\n"
    reply = said(
        server, [{"role": "user", "content": text + "Write the new one between ``` marks."}], "sim-reflect"
    )
    assert "{{ inputs }}" in reply
    assert "apologise" in reply


def test_a_model_of_another_name_does_what_it_is_asked(server):
    labelled = "\n\n".join(f"{r.fields['outputs']}\nExpert label: {r.gold}" for r in World(3).examples(5))
    said(server, [{"role": "user", "content": f"{labelled}\n\nWrite rules. pass or fail."}], "any")
    said(server, chat(content(1)), "any")
    assert server.asked == {"reflect": 1, "judge": 1}


EMPTY = (
    [],
    [{"role": "user", "content": ""}],
    [
        {"role": "system", "content": "What are the rules? List the policy."},
        {"role": "user", "content": "pass, fail"},
    ],
    [{"role": "user", "content": "Which features matter? Which labels do the experts give, pass or fail?"}],
)


@pytest.mark.parametrize("model", ["sim-judge", "sim-reflect", "other"])
@pytest.mark.parametrize("messages", EMPTY, ids=range(len(EMPTY)))
def test_a_prompt_without_content_learns_nothing(server, model, messages):
    """No rule, no feature and no verdict comes back where none was shown."""
    reply = said(server, messages, model)
    assert not read([{"role": "user", "content": reply}]).rules
    assert "date" not in reply
    assert "Verdict" not in reply


def test_the_server_cannot_know_a_world():
    """Its code imports no world; and serving another world changes no reply."""
    for path in SOURCES:
        names = [
            n.module or "" for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom)
        ]
        if path.name not in CLIENT_SIDE:
            assert not [n for n in names if n.endswith((".world", ".references"))], path.name
    replies = []
    for seed in (1, 2):
        with LabServer() as server:
            world = World(seed)
            world.judge(server).batch([row.fields for row in world.held_out(5)])
            replies.append([said(server, chat(content(n))) for n in range(10)])
    assert replies[0] == replies[1]


def test_no_string_of_any_framework_is_on_the_servers_side():
    words = r"\b(dspy|mlflow|memalign|simba|gepa|litellm|completed|guideline_text)\b|\[\[ ##"
    for path in SOURCES:
        if path.name not in CLIENT_SIDE:
            assert re.search(words, path.read_text(), re.IGNORECASE) is None, path.name
    assert re.search(words, Path(lab.__file__).read_text(), re.IGNORECASE)  # the search finds what is there
