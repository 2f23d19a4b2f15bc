"""What reaches the server, what is bought once, and what a caller of dspy.LM sees."""

import asyncio
import copy
import pickle
import threading
import time

import dspy
import pytest
from conftest import QUICK
from dspy import lm15

from judge_opt.core.errors import (
    BudgetExceeded,
    CredentialsError,
    EndpointUnreachable,
    RequestRejected,
    UsageError,
)
from judge_opt.llm import Budget, RetryPolicy, is_fatal, map_threads, reason_of, repeat, unwrap
from judge_opt.testing.fault_server import HTML, FaultServer, Reply


def lm_of(session, server, **options):
    return session.lm("openai:/any", base_url=server.base_url, **options)


def error(status, message, code=None):
    return Reply(status=status, raw=('{"error": {"message": "%s", "code": "%s"}}' % (message, code)).encode())


def outcome(call):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the tests look at it
        call()
    return caught.value


# ---- retries: exact request counts


@pytest.mark.parametrize("status", [429, 500, 502, 503, 529, 408, 504])
def test_a_transient_failure_is_retried_until_it_recovers(session, server, status):
    server.script(Reply(status=status), Reply(status=status), Reply(text="yes"))
    assert lm_of(session, server)("q") == ["yes"]
    assert server.completions == 3
    (line,) = session.ledger()
    assert (line.calls, line.failed, line.attempts) == (1, 0, 3)


def test_retries_are_bounded(session, server):
    server.answer = lambda body: Reply(status=503)
    caught = outcome(lambda: lm_of(session, server)("q"))
    assert isinstance(caught, dspy.LMServerError)
    assert reason_of(caught)[0] == "call_failed"
    assert server.completions == QUICK.attempts
    (line,) = session.ledger()
    assert (line.calls, line.failed, line.attempts) == (0, 1, QUICK.attempts)


def test_retry_after_is_honoured(session, server):
    server.script(Reply(status=429, headers={"Retry-After": "0.5"}), Reply(text="yes"))
    started = time.monotonic()
    lm_of(session, server)("q")
    assert 0.5 <= time.monotonic() - started < 2


def test_a_retry_after_beyond_the_deadline_ends_the_call_at_once(session, server):
    server.script(Reply(status=429, headers={"Retry-After": "3600"}))
    started = time.monotonic()
    assert isinstance(outcome(lambda: lm_of(session, server)("q")), dspy.LMRateLimitError)
    assert time.monotonic() - started < 1
    assert server.completions == 1


@pytest.mark.parametrize(
    ("reply", "kind", "fatal"),
    [
        (error(401, "bad key"), CredentialsError, True),
        (error(403, "forbidden"), CredentialsError, True),
        (error(402, "pay first"), CredentialsError, True),
        (error(429, "quota", "insufficient_quota"), CredentialsError, True),
        (error(404, "no such model"), RequestRejected, True),
        (error(400, "bad value"), RequestRejected, False),
        (Reply(status=302, headers={"Location": "http://127.0.0.1:9/"}), RequestRejected, False),
    ],
)
def test_a_refusal_is_final_and_typed(session, server, reply, kind, fatal):
    server.script(reply)
    caught = outcome(lambda: lm_of(session, server)("q"))
    assert isinstance(caught, kind)
    assert isinstance(caught, dspy.LMError)
    assert caught.remedy
    assert is_fatal(caught) is fatal
    assert server.completions == 1


def test_a_context_that_is_too_long_is_about_one_row(session, server):
    server.script(error(400, "maximum context length is 10 tokens", "context_length_exceeded"))
    caught = outcome(lambda: lm_of(session, server)("q"))
    assert isinstance(caught, dspy.ContextWindowExceededError)
    assert reason_of(caught)[0] == "too_long"
    assert server.completions == 1


def test_one_refusal_among_answers_does_not_stop_a_run(session, server):
    server.script(Reply(text="yes"), error(403, "flagged by moderation"))
    lm = lm_of(session, server)
    lm("fine")
    caught = outcome(lambda: lm("flagged"))
    assert not is_fatal(caught)
    assert reason_of(caught)[0] == "call_failed"


def test_a_policy_refusal_has_its_own_reason(session, server):
    server.script(error(400, "policy", "content_filter"))
    assert reason_of(outcome(lambda: lm_of(session, server)("q")))[0] == "refused"


def test_when_every_call_is_refused_sending_stops(session, server):
    server.answer = lambda body: error(401, "bad key")
    lm = lm_of(session, server)
    for i in range(20):
        assert isinstance(outcome(lambda i=i: lm(f"q{i}")), CredentialsError)
    assert server.completions == 3


def test_when_every_call_fails_sending_stops(make_session, server):
    session = make_session(retry=RetryPolicy(attempts=2, first_wait=0.001, timeout=5, deadline=5))
    server.answer = lambda body: Reply(status=500)
    lm = lm_of(session, server)
    caught = [outcome(lambda i=i: lm(f"q{i}")) for i in range(15)]
    assert server.completions == 20
    assert isinstance(caught[-1], EndpointUnreachable)
    assert is_fatal(caught[-1])


# ---- time


def test_a_slow_answer_ends_at_the_deadline(make_session, server):
    session = make_session(retry=RetryPolicy(attempts=1, timeout=0.4, deadline=5))
    server.script(Reply(text="late", delay=3))
    started = time.monotonic()
    caught = outcome(lambda: lm_of(session, server)("q"))
    assert time.monotonic() - started < 1.5
    assert reason_of(caught)[0] == "timeout"


@pytest.mark.parametrize("drip_headers", [False, True])
def test_a_dripping_answer_ends_at_the_deadline(make_session, server, drip_headers):
    session = make_session(retry=RetryPolicy(attempts=1, timeout=0.5, deadline=5))
    server.script(Reply(text="x" * 400, drip=0.05, drip_headers=drip_headers))
    started = time.monotonic()
    caught = outcome(lambda: lm_of(session, server)("q"))
    assert 0.4 < time.monotonic() - started < 1.5
    assert reason_of(caught)[0] == "timeout"


def test_the_deadline_of_a_call_holds_over_its_attempts(make_session, server):
    session = make_session(retry=RetryPolicy(attempts=50, first_wait=0.01, timeout=0.4, deadline=1.0))
    server.answer = lambda body: Reply(text="late", delay=3)
    started = time.monotonic()
    outcome(lambda: lm_of(session, server)("q"))
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("reset_after", [0, 30])
def test_a_reset_is_retried(session, server, reset_after):
    server.script(Reply(text="cut", reset_after=reset_after), Reply(text="whole"))
    assert lm_of(session, server)("q") == ["whole"]
    assert server.completions == 2


def test_no_server_and_no_such_host(session, server):
    for url in ("http://127.0.0.1:9/v1", "http://no-such-host.invalid/v1"):
        lm = session.lm("openai:/any", base_url=url)
        assert reason_of(outcome(lambda lm=lm: lm("q")))[0] == "call_failed"


# ---- replies that are none


@pytest.mark.parametrize("raw", [HTML, b"", b'{"choices": []}', b'{"choices": [{"mess', b"[1]", b'{"error": "x"}'])
def test_a_200_without_a_completion_is_retried_then_fails(session, server, raw):
    server.answer = lambda body: Reply(raw=raw)
    assert reason_of(outcome(lambda: lm_of(session, server)("q")))[0] == "call_failed"
    assert server.completions == QUICK.attempts


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


# ---- bought once


def test_equal_calls_at_the_same_time_are_bought_once(session, server):
    server.answer = lambda body: Reply(text="yes", delay=0.3)
    lm = lm_of(session, server)
    assert map_threads(lambda _: lm("q"), range(50), concurrency=50) == [["yes"]] * 50
    assert server.completions == 1
    (line,) = session.ledger()
    assert (line.calls, line.hits) == (1, 49)


def test_a_failed_leader_does_not_poison_the_key(session, server):
    server.script(*[Reply(status=500)] * QUICK.attempts)
    lm = lm_of(session, server)
    outcome(lambda: lm("q"))
    assert lm("q") == ["ok"]


def test_what_changes_the_reply_changes_the_key(session, server, make_session):
    def fields(order):
        return {"type": "json_schema", "json_schema": {"name": "x", "schema": {"properties": order}}}

    with FaultServer() as other:
        lm = lm_of(session, server)
        lm("q")
        lm("q2")
        lm("q", temperature=0.5)
        lm("q", max_tokens=7)
        lm("q", seed=0)
        lm("q", logprobs=True, top_logprobs=2)
        lm("q", response_format=fields({"a": {}, "b": {}}))
        lm("q", response_format=fields({"b": {}, "a": {}}))
        lm_of(session, server, min_p=0.1)("q")
        session.lm("openai:/another", base_url=server.base_url)("q")
        lm_of(session, server, extra_headers={"X-Deployment": "blue"})("q")
        with repeat(1):
            lm("q")
        assert server.completions == 12
        lm_of(session, other)("q")
        assert other.completions == 1
    again = make_session()
    lm_of(again, server, purpose="reflect")("q")
    assert server.completions == 12
    assert server.requests[8].body["min_p"] == 0.1


def test_repeats_are_bought_and_then_cached(session, server):
    lm = lm_of(session, server, temperature=1.0)
    for _ in range(2):
        for i in range(5):
            with repeat(i):
                lm("q")
            lm("q", rollout_id=i + 1)
    assert server.completions == 10
    assert all("repeat" not in r.body and "rollout_id" not in r.body for r in server.requests)


def test_candidates_are_different_calls(session, server):
    lm = lm_of(session, server, temperature=1.0)
    assert lm("q", n=3) == ["ok"] * 3
    assert server.completions == 3
    lm("q", n=3)
    lm("q")
    assert server.completions == 3


def test_a_repeat_index_on_the_request(session, server):
    engine = session.engine("openai:/any", base_url=server.base_url)
    for i in (0, 1, 1):
        config = lm15.Config(extensions={"repeat": i})
        engine.complete(lm15.Request(model="x", messages=(lm15.Message.user("q"),), config=config))
    assert server.completions == 2
    assert "repeat" not in server.requests[1].body


def test_async_calls_share_everything(session, server):
    server.answer = lambda body: Reply(text="yes", delay=0.1)
    lm = lm_of(session, server)

    async def ask():
        return await asyncio.gather(*[lm.acall("q") for _ in range(10)], *[lm.acall(f"q{i}") for i in range(5)])

    assert asyncio.run(ask()) == [["yes"]] * 15
    assert server.completions == 6


def test_connections_are_kept(session, server):
    lm = lm_of(session, server)
    for round_ in range(5):
        map_threads(lambda i, r=round_: lm(f"{r}-{i}"), range(8), concurrency=4)
    assert server.connections <= 5


def test_concurrency_is_bounded(make_session, server):
    server.answer = lambda body: Reply(text="yes", delay=0.05)
    lm = lm_of(make_session(concurrency=3), server)
    map_threads(lambda i: lm(f"q{i}"), range(20), concurrency=12)
    assert server.in_flight_most == 3


# ---- budget


@pytest.mark.parametrize("threads", [1, 8])
def test_a_budget_in_calls_is_a_hard_stop(make_session, server, threads):
    session = make_session(budget=Budget(calls=7))
    lm = lm_of(session, server)
    caught = outcome(lambda: map_threads(lambda i: lm(f"q{i}"), range(100), concurrency=threads))
    assert isinstance(caught, BudgetExceeded)
    assert isinstance(caught, dspy.LMError)
    assert is_fatal(caught)
    assert server.completions == 7


def test_retries_count_and_hits_are_free(make_session, server):
    session = make_session(budget=Budget(calls=3))
    server.script(Reply(status=500), Reply(text="yes"))
    lm = lm_of(session, server)
    for _ in range(5):
        lm("q")
    lm("q2")
    assert isinstance(outcome(lambda: lm("q3")), BudgetExceeded)
    assert server.completions == 3


def test_a_budget_in_tokens(make_session, server):
    session = make_session(budget=Budget(tokens=200))
    lm = lm_of(session, server, max_tokens=50)
    caught = outcome(lambda: [lm(f"q{i}") for i in range(100)])
    assert isinstance(caught, BudgetExceeded)
    assert 5 <= server.completions <= 200 / 12
    assert session.budget.used.tokens == 12 * server.completions


def test_a_resumed_run_goes_on_with_the_rest_of_its_budget(make_session, server):
    first = make_session(run_id="r", budget=Budget(calls=3))
    lm_of(first, server)("a")
    lm_of(first, server)("b")
    first.close()
    second = make_session(run_id="r", budget=Budget(calls=3))
    lm_of(second, server)("c")
    assert isinstance(outcome(lambda: lm_of(second, server)("d")), BudgetExceeded)
    assert server.completions == 3


def test_dollars_need_a_price(make_session, server):
    session = make_session(budget=Budget(usd=1.0))
    assert isinstance(outcome(lambda: lm_of(session, server)("q")), UsageError)
    assert server.completions == 0


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
    try:
        try:
            raise BudgetExceeded("over")
        except BudgetExceeded as inner:
            raise RuntimeError("swallowed") from inner
    except RuntimeError as outer:
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
