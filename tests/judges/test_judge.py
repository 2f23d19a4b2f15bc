"""A judge against a real endpoint on loopback."""

import copy
import json
from pathlib import Path

import dspy
import pytest

from judge_opt.core.errors import CredentialsError, IntegrityError, UsageError
from judge_opt.core.results import Scored, Unscored
from judge_opt.core.values import categories
from judge_opt.judges.make import make_judge
from judge_opt.judges.stored import dump_judge, load_judge, read_judge, save_judge
from judge_opt.llm.retry import RetryPolicy
from judge_opt.llm.session import Session, use_session
from judge_opt.testing.fault_server import FaultServer, Reply
from judge_opt.traces.schema import AssessmentSource

QUICK = RetryPolicy(attempts=2, first_wait=0.01, longest_wait=0.02, timeout=5.0, deadline=10.0)


def polite(body):
    said = body["messages"][-1]["content"]
    return json.dumps({"rationale": "I looked.", "verdict": "yes" if "please" in said else "no"})


@pytest.fixture
def server():
    with FaultServer(answer=polite) as running:
        yield running


@pytest.fixture(autouse=True)
def session(tmp_path):
    with Session(tmp_path / "home", retry=QUICK) as made, use_session(made):
        yield made


@pytest.fixture
def judge(server):
    return make_judge("polite", "Is {{ outputs }} polite?", "openai:/any", bool, base_url=server.base_url)


def test_a_judgement_has_value_rationale_and_source(judge):
    feedback = judge(outputs="Close the door, please.")
    assert feedback.value is True
    assert feedback.rationale == "I looked."
    assert feedback.source == AssessmentSource("LLM_JUDGE", "openai:/any")
    assert feedback.error is None
    assert isinstance(feedback.result, Scored)
    assert isinstance(feedback, dspy.Prediction)


def test_what_is_not_a_verdict_is_unscored_and_no_number(judge, server):
    server.script(*[Reply(text='{"rationale": "?", "verdict": "MAYBE"}')] * 2)
    feedback = judge(outputs="Hm.")
    assert feedback.value is None
    assert feedback.confidence is None
    assert isinstance(feedback.result, Unscored)
    assert feedback.error.startswith("out_of_set")
    assert "MAYBE" in feedback.result.raw
    assert server.completions == 2  # the question and one repair


def test_a_missing_part_costs_no_call(judge, server):
    assert judge(inputs="x").error.startswith("missing_input")
    assert server.completions == 0


def test_the_system_message_is_the_same_bytes_for_every_item(judge, server):
    judge.batch([{"outputs": f"item {i} {{{{ inputs }}}} %s"} for i in range(3)])
    systems = {r.body["messages"][0]["content"] for r in server.requests if "messages" in (r.body or {})}
    assert len(systems) == 1
    assert "item" not in systems.pop().replace("the item", "")


def test_batch_keeps_order_and_buys_each_item_once(judge, server):
    items = [{"outputs": f"{i} {'please' if i % 3 == 0 else ''}"} for i in range(30)]
    seen = []
    first = judge.batch(items, concurrency=8, progress=lambda done, total: seen.append((done, total)))
    assert [f.value for f in first] == [i % 3 == 0 for i in range(30)]
    assert server.completions == 30
    assert seen[-1] == (30, 30)
    judge.batch(items, concurrency=1)
    assert server.completions == 30


def test_a_refused_key_stops_everything(judge, server):
    server.answer = lambda body: Reply(status=401, raw=b'{"error": {"message": "bad key"}}')
    with pytest.raises(CredentialsError, match="key"):
        judge.batch([{"outputs": str(i)} for i in range(200)], concurrency=4)
    assert server.completions < 20


def test_lone_surrogates_are_judged(judge):
    assert judge(outputs="please \ud800").value is True


def test_copies_are_independent(judge):
    other = copy.deepcopy(judge)
    other.predict.demos = [{"outputs": "x", "verdict": True}]
    assert judge.predict.demos == []
    assert [name for name, _ in judge.named_predictors()] == ["predict"]


def test_dspy_evaluate_takes_a_judge_unchanged(judge):
    rows = [
        dspy.Example(outputs="one please", gold=True).with_inputs("outputs"),
        dspy.Example(outputs="two", gold=True).with_inputs("outputs"),
    ]
    score = dspy.Evaluate(
        devset=rows, metric=lambda e, p, trace=None: e.gold == p.value, display_progress=False
    )(judge)
    assert score.score == 50.0


def test_bootstrapped_demos_reach_the_prompt_and_survive_saving(judge, server, tmp_path):
    rows = [dspy.Example(outputs=f"{i} please", gold=True).with_inputs("outputs") for i in range(3)]
    compiled = dspy.BootstrapFewShot(
        metric=lambda e, p, trace=None: e.gold == p.value, max_labeled_demos=0
    ).compile(judge, trainset=rows)
    assert compiled.predict.demos
    save_judge(compiled, tmp_path / "j")
    loaded = read_judge(tmp_path / "j", trust_base_url=True)
    asked = server.completions
    assert loaded(outputs="5 please").value is True
    assert server.completions == asked + 1
    assert len(server.requests[-1].body["messages"]) == 2 + 2 * len(compiled.predict.demos)
    assert compiled(outputs="5 please").value is True
    assert server.completions == asked + 1  # the same prompt, so the same call


def test_rewritten_instructions_survive_saving(judge):
    judge.predict.signature = judge.predict.signature.with_instructions("Be strict about {{ outputs }}.")
    state, blobs = dump_judge(judge)
    assert load_judge(json.loads(json.dumps(state)), blobs).instructions == "Be strict about {{ outputs }}."


@pytest.mark.parametrize("damage", ["flip", "cut", "future", "empty"])
def test_a_damaged_judge_is_never_loaded(judge, tmp_path, damage):
    save_judge(judge, tmp_path / "j")
    path = Path(tmp_path / "j" / "judge.json")
    text = path.read_text()
    path.write_text(
        {
            "flip": text.replace("polite", "politf", 1),
            "cut": text[:-20],
            "future": text.replace('"schema": 2', '"schema": 9'),
            "empty": "",
        }[damage]
    )
    with pytest.raises(IntegrityError):
        read_judge(tmp_path / "j", trust_base_url=True)


def test_extra_headers_are_not_stored(server, tmp_path):
    judge = make_judge(
        "x",
        "Is {{ outputs }} ok?",
        "openai:/any",
        base_url=server.base_url,
        extra_headers={"X-Key": "canary-123"},
    )
    judge(outputs="please")
    assert server.requests[-1].headers["x-key"] == "canary-123"
    save_judge(judge, tmp_path / "j")
    assert "canary-123" not in (tmp_path / "j" / "judge.json").read_text()


def test_labels_are_asked_for_as_a_schema_and_read_back(server):
    server.answer = lambda body: json.dumps({"verdict": "Needs Work"})
    judge = make_judge(
        "x",
        "Is {{ outputs }} ok?",
        "openai:/any",
        categories("fine", "needs_work"),
        base_url=server.base_url,
        generate_rationale_first=False,
    )
    assert judge(outputs="a").value == "needs_work"
    schema = server.requests[-1].body["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["verdict"]["enum"] == ["fine", "needs_work"]
    assert list(schema["properties"]) == ["verdict"]


def test_what_is_judged_is_given_by_name(judge, server):
    with pytest.raises(UsageError) as caught:
        judge("Close the door, please.")
    assert caught.value.remedy == "Call it as judge(outputs=...)."
    assert server.completions == 0


def test_a_feedback_says_what_it_is(judge, server):
    assert repr(judge(outputs="please")) == "Feedback(name='polite', value=True, rationale='I looked.')"
    server.script(*[Reply(text="MAYBE")] * 2)
    assert "value=None, error=\"unparseable: no verdict in 'maybe'\"" in str(judge(outputs="Hm."))


@pytest.mark.parametrize("concurrency", [1, 4])
def test_an_item_of_the_wrong_kind_is_named_before_anything_is_asked(judge, server, concurrency):
    with pytest.raises(UsageError, match=r"Item 1: .*str") as caught:
        judge.batch([{"outputs": "please"}, "please"], concurrency=concurrency)
    assert "mapping" in caught.value.remedy
    with pytest.raises(UsageError, match="concurrency=0"):
        judge.batch([{"outputs": "please"}], concurrency=0)
    assert server.completions == 0


@pytest.mark.parametrize(
    "address", ["localhost:8000", "http://me:key@host/v1", "http://host:x/v1", "ftp://host"]
)
def test_an_address_is_checked_when_the_judge_is_made(address):
    with pytest.raises(UsageError, match="base_url") as caught:
        make_judge("x", "Is {{ outputs }} ok?", "openai:/any", base_url=address)
    assert caught.value.remedy


def test_dspy_sees_a_judge_where_it_looks(judge):
    seen = []

    class Watcher(dspy.utils.callback.BaseCallback):
        def on_module_start(self, call_id, instance, inputs):
            seen.append((type(instance).__name__, inputs))

    with dspy.context(callbacks=[Watcher()]):
        assert judge(outputs="please").value is True
    assert seen[0][0] == "Judge"
    judge.callbacks.append(Watcher())
    before = len(seen)
    assert judge(outputs="please, again").value is True
    assert len(seen) > before
