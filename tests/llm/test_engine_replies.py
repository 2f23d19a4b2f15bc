"""What a reply becomes, and what living with DSPy asks for."""

import copy
import pickle
import threading

import dspy
import pytest
from dspy import lm15
from llm_helpers import ATTEMPTS, error, lm_of, outcome

from judge_opt.core.errors import (
    BudgetExceeded,
    CredentialsError,
    RequestRejected,
)
from judge_opt.llm import is_fatal, reason_of, unwrap
from judge_opt.testing.fault_server import HTML, Reply

# ---- replies that are none


@pytest.mark.parametrize(
    "raw", [HTML, b"", b'{"choices": []}', b'{"choices": [{"mess', b"[1]", b'{"error": "x"}']
)
def test_a_200_without_a_completion_is_retried_then_fails(session, server, raw):
    server.answer = lambda body: Reply(raw=raw)
    assert reason_of(outcome(lambda: lm_of(session, server)("q")))[0] == "call_failed"
    assert server.completions == ATTEMPTS


@pytest.mark.parametrize("content", [None, "", []])
def test_empty_content_is_an_empty_reply_and_is_booked(session, server, content):
    server.script(Reply(message={"role": "assistant", "content": content}))
    assert lm_of(session, server)("q") == [""]
    assert session.ledger()[0].prompt_tokens == 10


def test_another_model_answers(session, server, caplog):
    server.script(Reply(text="yes", model="cheaper-one"))
    lm_of(session, server)("q")
    assert "asked for 'any', answered by 'cheaper-one'" in caplog.text


def test_logprobs_tools_and_refusals_are_read(session, server):
    top = [{"token": "yes", "logprob": -0.1}, {"token": "no", "logprob": None}]
    logprobs = {"content": [{"token": "yes", "logprob": -0.1, "bytes": [121], "top_logprobs": top}]}
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    server.script(
        Reply(text="yes", logprobs=logprobs),
        Reply(message={"content": None, "tool_calls": [call]}, finish_reason="tool_calls"),
        Reply(message={"content": None, "refusal": "I cannot"}),
    )
    engine = session.engine("openai:/any", base_url=server.base_url)

    def ask(text):
        config = lm15.Config(logprobs=2, max_tokens=5)
        return engine.complete(lm15.Request(model="x", messages=(lm15.Message.user(text),), config=config))

    first = ask("a").logprobs[0]
    assert (first.token, first.logprob, first.bytes) == ("yes", -0.1, (121,))
    assert [(t.token, t.logprob) for t in first.top] == [("yes", -0.1), ("no", -9999.0)]
    assert server.requests[0].body["logprobs"] is True
    assert server.requests[0].body["top_logprobs"] == 2
    assert ask("b").tool_calls[0].input == {"a": 1}
    assert ask("c").message.first(lm15.RefusalPart).text == "I cannot"
    assert ask("a").logprobs[0] == first  # the same from the cache


def test_a_setting_that_the_endpoint_does_not_know_is_left_out_once(session, server, caplog):
    def answer(body):
        if "response_format" in body:
            return error(400, "response_format is not supported")
        return "yes"

    server.answer = answer
    lm = lm_of(session, server)
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    assert lm("a", response_format=schema) == ["yes"]
    assert lm("b", response_format=schema) == ["yes"]
    assert server.completions == 3
    assert session.ledger()[0].attempts == 3
    assert "config.response_format was dropped" in caplog.text


def test_an_invalid_schema_is_not_mistaken_for_that(session, server):
    server.answer = lambda body: error(400, "Invalid schema for response_format: 'allOf' is not permitted")
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    caught = outcome(lambda: lm_of(session, server)("a", response_format=schema))
    assert isinstance(caught, RequestRejected)
    assert server.completions == 1


def test_a_limit_under_its_newer_name(session, server):
    newer = "Unsupported parameter: max_tokens. Use max_completion_tokens"
    server.answer = lambda body: error(400, newer) if "max_tokens" in body else "yes"
    assert lm_of(session, server)("a") == ["yes"]
    assert server.requests[-1].body["max_completion_tokens"] == 512


# ---- living with DSPy


def test_dspy_modules_use_it(session, server):
    server.answer = lambda body: "[[ ## answer ## ]]\nblue\n\n[[ ## completed ## ]]"
    with dspy.context(lm=lm_of(session, server)):
        assert dspy.Predict("question -> answer")(question="sky?").answer == "blue"


def test_a_parse_failure_is_booked(session, server):
    server.answer = lambda body: "no fields here"
    with dspy.context(lm=lm_of(session, server)), pytest.raises(dspy.utils.exceptions.AdapterParseError):
        dspy.Predict("question -> answer: bool")(question="sky?")
    assert session.ledger()[0].calls == server.completions > 0


def test_copying_a_program_shares_the_model(session, server):
    lm = lm_of(session, server)
    assert copy.deepcopy(lm) is lm
    warmer = lm.copy(temperature=0.7)
    warmer("q")
    assert server.requests[0].body["temperature"] == 0.7


def test_a_saved_engine_holds_no_headers(session, server):
    lm = lm_of(session, server, extra_headers={"Authorization": "Bearer canary-1234"}, min_p=0.2)
    assert "canary" not in repr(lm.dump_state())
    assert lm.dump_state()["engine"]["state"]["base_url"] == server.base_url


def test_errors_survive_pickling(session, server):
    server.script(error(401, "bad key"))
    caught = pickle.loads(pickle.dumps(outcome(lambda: lm_of(session, server)("q"))))
    assert isinstance(caught, CredentialsError)
    assert is_fatal(caught)


def test_unwrap_finds_ours_in_a_chain():
    outer = RuntimeError("swallowed")
    outer.__cause__ = BudgetExceeded("over")
    assert isinstance(unwrap(outer), BudgetExceeded)
    assert reason_of(outer) is None
    assert unwrap(RuntimeError("x")) is None


def test_memoised(session, server):
    assert lm_of(session, server) is lm_of(session, server)
    assert lm_of(session, server) is not lm_of(session, server, temperature=0.1)


def test_reasoning_models_get_parameters_that_they_take(session, server):
    lm = session.lm("openai:/gpt-5-mini", base_url=server.base_url)
    lm("q")
    assert not {"temperature", "max_tokens"} & set(server.requests[0].body)


def test_events_tell_of_every_call(make_session, server):
    events = []
    session = make_session(events=events.append)
    lm = lm_of(session, server, purpose="reflect")
    lm("q")
    lm("q")
    assert [(e.purpose, e.cached, e.usage.input_tokens) for e in events] == [
        ("reflect", False, 10),
        ("reflect", True, 10),
    ]
    assert events[1].usd == 0.0
    assert threading.active_count() < 50
