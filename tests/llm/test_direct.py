"""The direct lane buys exactly what a dspy.LM buys: same key, same body, same ledger."""

import asyncio
import warnings

import pytest
from dspy import lm15
from dspy.clients.execution import _canonical, prepare
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from llm_helpers import error, lm_of, outcome

from judge_opt.core.errors import CredentialsError, UsageError
from judge_opt.llm import Session, repeat
from judge_opt.llm.direct import Asked, Drafts
from judge_opt.llm.http_backend import HTTPBackend
from judge_opt.llm.keys import Addresses
from judge_opt.llm.uri import ModelURI
from judge_opt.llm.wire import to_body
from judge_opt.testing.fault_server import Reply

SCHEMA = {"type": "object", "properties": {"why": {"type": "string"}, "value": {"enum": ["yes", "no"]}}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "verdict", "schema": SCHEMA, "strict": True}}
ENCODABLE = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
ROWS = st.one_of(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "developer"]), "content": ENCODABLE}
    ),
    st.fixed_dictionaries(
        {
            "role": st.just("user"),
            "content": st.just([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
        }
    ),
    st.just({"role": "assistant", "content": "x", "tool_calls": [CALL]}),
)
CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.one_of(st.none(), st.sampled_from([0, 0.0, 0.5, 1])),
        "max_tokens": st.integers(1, 99),
        "seed": st.integers(0, 9),
        "logprobs": st.just(True),
        "response_format": st.sampled_from([FORMAT, {"type": "json_object"}, {"type": "text"}]),
        "stop": st.sampled_from(["x", ["x", "y"]]),
        "logit_bias": st.just({"5": 1.0}),
        "user": st.just("me"),
        "rollout_id": st.integers(1, 3),
    },
)


def asked_by_dspy(lm, messages, config):
    return _canonical(prepare(lm, None, messages, config))


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class _Lane:
    """What `prepare` reads of an LM."""

    model, model_type, cache, use_developer_role = "openai/any", "chat", False, False
    _engine_spec, _cache_responses = object(), True

    def __init__(self, kwargs):
        self.kwargs = kwargs


@given(st.lists(ROWS, min_size=1, max_size=4), CONFIGS, CONFIGS)
@settings(max_examples=300, deadline=None)
def test_the_request_is_the_one_that_dspy_builds(messages, own, config):
    lane = _Lane(own)
    try:
        theirs = asked_by_dspy(lane, messages, config)
    except (TypeError, ValueError, lm15.LM15Error) as refused:
        with pytest.raises(type(refused)):
            Drafts().asked(lane.model, messages, {**own, **config})
        return
    drafts = Drafts()
    backend = HTTPBackend(ModelURI.parse("openai:/any"), "http://localhost:1/v1")
    addresses = Addresses(backend.fingerprint)
    for _ in range(2):  # the second time from what it remembers
        asked = drafts.asked(lane.model, messages, {**own, **config})
        assert asked.request == theirs
        assert addresses.prepare(asked)[0] == addresses.prepare(Asked(theirs))[0]
        assert backend._body(asked) == backend._body(Asked(theirs)) == to_body(theirs, "any")


def test_what_judges_ask_is_taken_as_it_is():
    """The property above holds of every question; this one says which are not read by DSPy at all."""
    system, user = {"role": "system", "content": "s"}, {"role": "user", "content": "é\ud83d\ude00"}
    reply = {"role": "assistant", "content": "a"}
    settings = {"temperature": 0.0, "max_tokens": 512, "response_format": FORMAT, "logprobs": True, "seed": 3}
    for messages in ([user], [system, user], [system, user, reply, user]):
        assert Drafts().asked("openai/any", messages, settings).messages == messages
    parts = {"role": "user", "content": [{"type": "text", "text": "x"}]}
    for messages in ([user, system], [system, parts]):
        assert Drafts().asked("openai/any", messages, settings).messages is None
    assert Drafts().asked("openai/any", [user], {"logit_bias": {"5": 1.0}}).messages is None


@given(
    st.lists(st.sampled_from(["system", "user", "assistant"]), min_size=1, max_size=3),
    ENCODABLE,
    CONFIGS,
    st.booleans(),
    st.integers(0, 2),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_one_lane_buys_the_other_has(session, server, roles, text, config, dspy_first, index):
    lm = lm_of(session, server, temperature=1.0)
    messages = [{"role": role, "content": f"{n} {text}"} for n, role in enumerate([*roles, "user"])]
    lanes = [
        lambda: lm(messages=messages, **config)[0],
        lambda: lm.ask(messages, **config).text,
        lambda: asyncio.run(lm.aask(messages, **config)).text,
    ]
    if not dspy_first:
        lanes = lanes[1:] + lanes[:1]
    with repeat(index):
        first = lanes[0]()
        bought = server.completions
        seen = {text_of(first)} | {text_of(lane()) for lane in lanes}
    assert server.completions == bought
    assert seen == {"ok"}


def text_of(reply):
    return reply["text"] if isinstance(reply, dict) else reply


def test_bodies_and_ledger_rows_are_equal(make_session, server, tmp_path):
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "é\n"}]
    config = {"response_format": FORMAT, "logprobs": True, "top_logprobs": 5, "temperature": 0.5}
    lm_of(make_session(), server)(messages=messages, **config)
    (line,) = make_session().ledger()
    with Session(tmp_path / "another") as other:
        lm_of(other, server).ask(messages, **config)
        (again,) = other.ledger()
    assert server.requests[0].body == server.requests[1].body
    assert (line.calls, line.attempts, line.prompt_tokens) == (
        again.calls,
        again.attempts,
        again.prompt_tokens,
    )


def test_a_changed_schema_is_another_question(session, server):
    lm = lm_of(session, server)
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    lm.ask([{"role": "user", "content": "q"}], response_format=form)
    schema["properties"]["b"] = {"type": "string"}
    lm.ask([{"role": "user", "content": "q"}], response_format=form)
    assert [
        list(r.body["response_format"]["json_schema"]["schema"]["properties"]) for r in server.requests
    ] == [
        ["a"],
        ["a", "b"],
    ]


def test_what_it_refuses(session, server):
    lm = lm_of(session, server)
    with pytest.raises(UsageError):
        lm.ask([{"role": "user", "content": "q"}], n=3)
    with pytest.raises(UsageError):
        lm.ask([{"role": "user", "content": "q"}], response_format=dict)
    with pytest.raises(ValueError, match="message"):
        lm.ask([])
    assert server.completions == 0


def test_it_raises_what_the_engine_raises(session, server):
    lm = lm_of(session, server)
    server.script(error(401, "bad key"), *[Reply(status=503)] * 4)
    assert isinstance(outcome(lambda: lm.ask([{"role": "user", "content": "q"}])), CredentialsError)
    assert isinstance(outcome(lambda: lm.ask([{"role": "user", "content": "q"}])), lm15.ServerError)


def test_a_copy_asks_with_its_own_parameters(session, server):
    lm = lm_of(session, server)
    sampled = [lm.copy(rollout_id=i, temperature=1.0) for i in range(3)]
    for one in (*sampled, *sampled, lm):
        one.ask([{"role": "user", "content": "q"}])
        one(messages=[{"role": "user", "content": "q"}])
    assert [r.body["temperature"] for r in server.requests] == [1.0, 1.0, 1.0, 0.0]
    assert "rollout_id" not in lm.kwargs
    assert all(one.engine is lm.engine and one is not lm for one in sampled)
