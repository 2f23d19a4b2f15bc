"""DSPy's own optimizers, unmodified, compile a judge; what they learned is saved, loaded and judges the same."""

import json
import re

import dspy
import pytest

from judge_opt.core.values import categories
from judge_opt.judges.dspy_metric import agrees
from judge_opt.judges.make import make_judge
from judge_opt.judges.stored import read_judge, save_judge
from judge_opt.labels.examples import LabelledExample, Vote
from judge_opt.llm.session import Session, use_session
from judge_opt.testing.fault_server import FaultServer

RULE = "A reply that names a date is good."


def world(body):
    """A judge that knows the rule only where its prompt says so, or shows two examples; and a reflection
    model that finds it."""
    text = "\n".join(m["content"] for m in body["messages"])
    schema = json.dumps(body.get("response_format") or {})
    if "judgement" not in schema:
        return reflection(text)
    shown = sum(m["role"] == "assistant" for m in body["messages"])
    item = body["messages"][-1]["content"]
    good = "Monday" in item if RULE in text or shown >= 2 else "please" in item
    return json.dumps({"rationale": "By the rule." if good else "No.", "verdict": "good" if good else "bad"})


def reflection(text):
    """Answers with the fields that the end of the prompt asks for, in DSPy's field marks, or in a code block."""
    rule = f"Judge {{{{ outputs }}}}. {RULE}"
    values = {
        "module_advice": json.dumps({"predict": RULE}),
        "proposed_instruction": rule,
        "new_instruction": rule,
    }
    _, asked, tail = text.rpartition("Respond with the corresponding output fields")
    fields = [field for field in re.findall(r"\[\[ ## (\w+) ## \]\]", tail) if field != "completed"]
    if asked and fields:
        return (
            "".join(f"[[ ## {f} ## ]]\n{values.get(f, 'Fine.')}\n\n" for f in fields)
            + "[[ ## completed ## ]]"
        )
    _, asked, tail = text.rpartition("Respond with a JSON object")
    if asked:
        return json.dumps({field: values.get(field, "Fine.") for field in re.findall(r"`(\w+)`", tail)})
    return f"```\n{rule}\n```"


def rows(n):
    out = []
    for i in range(n):
        dated, kind = i % 2 == 0, "please" if i % 4 < 2 else "now"
        reply = f"Wait, {kind}, until {'Monday' if dated else 'later'} {i}."
        vote = Vote("ana", "good", "It names a date.") if dated else Vote("ana", "bad")
        out.append(LabelledExample(f"r{i}", f"r{i}", {"outputs": reply}, (vote,)))
    return out


@pytest.fixture
def server():
    with FaultServer(world) as running:
        yield running


@pytest.fixture
def judge(server, tmp_path):
    with Session(tmp_path / "home") as session, use_session(session):
        yield make_judge(
            "dated",
            "Judge {{ outputs }}.",
            "openai:/sim",
            categories("good", "bad"),
            base_url=server.base_url,
        )


def compile_with(name, judge, train, reflector):
    metric = agrees(judge)
    if name == "SIMBA":
        return dspy.SIMBA(metric=metric, bsize=8, num_candidates=3, max_steps=2, max_demos=2,
                          prompt_model=reflector).compile(judge, trainset=train, seed=0)  # fmt: skip
    if name == "GEPA":
        return dspy.GEPA(metric=metric, max_metric_calls=80, reflection_lm=reflector, num_threads=2,
                         seed=0).compile(judge, trainset=train[:12], valset=train[12:])  # fmt: skip
    if name == "MIPROv2":
        return dspy.MIPROv2(metric=metric, auto=None, num_candidates=3, prompt_model=reflector, task_model=judge.lm(),
                            max_bootstrapped_demos=2, max_labeled_demos=2, num_threads=2, seed=1).compile(
            judge, trainset=train[:12], valset=train[12:], num_trials=4, minibatch=False)  # fmt: skip
    return dspy.BootstrapFewShot(metric=metric, max_bootstrapped_demos=2, max_labeled_demos=4).compile(
        judge, trainset=train
    )


@pytest.mark.parametrize("name", ["SIMBA", "GEPA", "MIPROv2", "BootstrapFewShot"])
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_an_unmodified_optimizer_compiles_a_judge(name, judge, server, tmp_path):
    from judge_opt.llm.session import current_session

    labelled = rows(40)
    train, test = [judge.example(row) for row in labelled[:24]], [row.fields for row in labelled[24:]]
    gold = [row.gold for row in labelled[24:]]
    before = [f.value for f in judge.batch(test)]
    reflector = current_session().lm(
        "openai:/sim", purpose="reflect", base_url=server.base_url, max_tokens=4000
    )
    with dspy.context(lm=reflector):
        compiled = compile_with(name, judge, train, reflector)
    assert type(compiled) is type(judge)
    after = compiled.batch(test)
    assert all(f.error is None for f in after)
    agreed = [
        sum(v == g for v, g in zip(said, gold, strict=True)) for said in (before, [f.value for f in after])
    ]
    assert agreed == [8, 16], "the optimizer found what the judge did not know"
    assert [f.value for f in judge.batch(test)] == before, "the judge that was given is not changed"

    save_judge(compiled, tmp_path / "j")
    loaded = read_judge(tmp_path / "j", trust_base_url=True)
    bought = server.completions
    again = loaded.batch(test)
    assert [f.result for f in again] == [f.result for f in after]
    assert server.completions == bought, "the loaded judge sends the same prompts"
    assert loaded.instructions == compiled.instructions
    assert {line.purpose for line in current_session().ledger()} <= {"judge", "reflect"}


def test_the_metric_has_no_score_for_a_row_without_a_verdict(judge, server):
    server.answer = lambda body: "I would rather not."
    example = judge.example(rows(1)[0])
    scored = agrees(judge)(example, judge(**example.inputs()))
    assert scored.score == 0.0
    assert "no verdict" in scored.feedback
