"""What a failure looks like to those who call the model through DSPy; the faults themselves are in
test_fault_table.py."""

import dspy
import pytest
from llm_helpers import ATTEMPTS, error, lm_of, outcome

from judge_opt.core.errors import CredentialsError, EndpointUnreachable, RequestRejected
from judge_opt.llm import RetryPolicy, is_fatal, reason_of
from judge_opt.testing.fault_server import Reply


@pytest.mark.parametrize(
    ("reply", "theirs", "reason"),
    [
        (Reply(status=503), dspy.LMServerError, "call_failed"),
        (Reply(status=429), dspy.LMRateLimitError, "call_failed"),
        (Reply(text="cut", reset_after=0), dspy.LMTransportError, "call_failed"),
        (
            error(400, "maximum context length is 10 tokens", "context_length_exceeded"),
            dspy.ContextWindowExceededError,
            "too_long",
        ),
    ],
)
def test_what_one_request_met_is_an_error_of_dspy(session, server, reply, theirs, reason):
    server.script(*[reply] * ATTEMPTS)
    caught = outcome(lambda: lm_of(session, server)("q"))
    assert isinstance(caught, theirs)
    assert reason_of(caught)[0] == reason
    (line,) = session.ledger()
    assert line.attempts == server.completions


@pytest.mark.parametrize(
    ("reply", "kind", "fatal"),
    [
        (error(401, "bad key"), CredentialsError, True),
        (error(404, "no such model"), RequestRejected, True),
        (error(400, "bad value"), RequestRejected, False),
    ],
)
def test_a_refusal_is_an_error_of_both(session, server, reply, kind, fatal):
    server.script(reply)
    caught = outcome(lambda: lm_of(session, server)("q"))
    assert isinstance(caught, kind)
    assert isinstance(caught, dspy.LMError)
    assert caught.remedy
    assert is_fatal(caught) is fatal
    assert server.completions == 1


def test_an_open_circuit_is_an_error_of_both(make_session, server):
    session = make_session(retry=RetryPolicy(attempts=1, timeout=20, deadline=60))
    server.answer = lambda body: Reply(status=500)
    lm = lm_of(session, server)
    caught = [outcome(lambda i=i: lm(f"q{i}")) for i in range(12)][-1]
    assert isinstance(caught, EndpointUnreachable)
    assert isinstance(caught, dspy.LMTransportError)
    assert server.completions == 10
