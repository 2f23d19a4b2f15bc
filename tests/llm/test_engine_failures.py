"""Failures of the endpoint: exact request counts, typed errors, deadlines."""

import time

import dspy
import pytest
from llm_helpers import ATTEMPTS, error, lm_of, outcome

from judge_opt.core.errors import (
    CredentialsError,
    EndpointUnreachable,
    RequestRejected,
)
from judge_opt.llm import RetryPolicy, is_fatal, reason_of
from judge_opt.testing.fault_server import Reply

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
    assert server.completions == ATTEMPTS
    (line,) = session.ledger()
    assert (line.calls, line.failed, line.attempts) == (0, 1, ATTEMPTS)


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
