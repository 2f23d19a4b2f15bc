"""The table of faults (RELIABILITY F1, F2, F3, F5, F7, S6): each one for threads and for event loops, on a
real server, with the exact number of requests, and with what the ledger holds afterwards.
"""

import asyncio
import logging
import socket
import time
from dataclasses import dataclass
from typing import Any

import pytest
from dspy import lm15
from llm_helpers import ATTEMPTS, error, lm_of

from judge_opt.core.errors import (
    BudgetExceeded,
    CredentialsError,
    EndpointUnreachable,
    JudgeOptError,
    RequestRejected,
)
from judge_opt.llm import Budget, RetryPolicy, is_fatal, reason_of
from judge_opt.testing.fault_server import HTML, FaultServer, Reply

QUICK = RetryPolicy(attempts=ATTEMPTS, first_wait=0.01, longest_wait=0.05, timeout=20, deadline=60)
CANARY = "sk-canary-77aa"
QUESTION = [{"role": "user", "content": "q"}]
LATE = 30.0
"""Seconds that no test waits: what answers so late is ended by a deadline."""


@dataclass(frozen=True)
class Fault:
    """One row of the table.

    Attributes:
        name: of the row in RELIABILITY.md, and what happens.
        replies: what the server answers, in order; then "ok".
        raises: None where the call recovers.
        requests: sent in all.
        reason: of the Unscored; None where the error stops the run, or where none is raised.
        retry: the bounds of the call.
        least, most: seconds that the call takes.
        cuts: answers on which the limiter slows down.
        says: in the error's message, or in the log.
        pauses: True where nothing more is sent to the endpoint for now.
    """

    name: str
    replies: tuple[Reply, ...]
    raises: type[BaseException] | None = None
    requests: int = 1
    reason: str | None = None
    retry: RetryPolicy = QUICK
    least: float = 0.0
    most: float = LATE
    cuts: int = 0
    says: str = ""
    pauses: bool = False


def ends(timeout: float, attempts: int = 1, deadline: float = 60.0) -> RetryPolicy:
    return RetryPolicy(attempts=attempts, first_wait=0.01, timeout=timeout, deadline=deadline)


def recovers(status: int) -> Fault:
    cuts = 2 if status in (429, 503, 529) else 0
    replies = (Reply(status=status), Reply(status=status), Reply(text="yes"))
    return Fault(f"F1 {status} twice, then an answer", replies, requests=3, cuts=cuts)


def stays(status: int, kind: type[BaseException]) -> Fault:
    cuts = ATTEMPTS if status in (429, 503, 529) else 0
    replies = (Reply(status=status),) * ATTEMPTS
    return Fault(f"F1 {status} for ever", replies, kind, ATTEMPTS, "call_failed", cuts=cuts)


def refused(
    name: str, reply: Reply, kind: type[BaseException], reason: str | None = None, says: str = ""
) -> Fault:
    return Fault(f"F2 {name}", (reply,), kind, reason=reason, says=says)


TABLE = (
    *(recovers(status) for status in (429, 500, 502, 503, 529, 408, 504)),
    stays(429, lm15.RateLimitError),
    *(stays(status, lm15.ServerError) for status in (500, 502, 503, 529)),
    Fault(
        "F1 429 with Retry-After",
        (Reply(status=429, headers={"Retry-After": "0.4"}), Reply(text="yes")),
        requests=2, least=0.4, cuts=1,
    ),
    Fault(
        "F1 503 with Retry-After",
        (Reply(status=503, headers={"Retry-After": "0.4"}), Reply(text="yes")),
        requests=2, least=0.4, cuts=1,
    ),
    Fault(
        "F1 429 with retry-after-ms",
        (Reply(status=429, headers={"retry-after-ms": "300"}), Reply(text="yes")),
        requests=2, least=0.3, cuts=1,
    ),
    Fault(
        "F1 429 with Retry-After beyond the deadline",
        (Reply(status=429, headers={"Retry-After": "3600"}),),
        lm15.RateLimitError, reason="call_failed", cuts=1, pauses=True,
    ),
    refused("401", error(401, "bad key"), CredentialsError, says="OPENAI_API_KEY"),
    refused("403", error(403, "forbidden"), CredentialsError, says="OPENAI_API_KEY"),
    refused("402", error(402, "pay first"), CredentialsError),
    refused("429 quota", error(429, "quota", "insufficient_quota"), CredentialsError),
    refused("404", error(404, "no such model"), RequestRejected, says="base_url"),
    refused("400", error(400, "bad value"), RequestRejected, "call_failed", says="bad value"),
    refused(
        "400 context length",
        error(400, "maximum context length is 10 tokens", "context_length_exceeded"),
        lm15.ContextLengthError, "too_long",
    ),
    refused("400 policy", error(400, "flagged", "content_filter"), RequestRejected, "refused"),
    Fault("F3 time-out", (Reply(delay=LATE),), lm15.TimeoutError, reason="timeout", retry=ends(1.0), least=1.0),
    Fault(
        "F3 slow drip of the body",
        (Reply(text="x" * 900, drip=0.05),),
        lm15.TimeoutError, reason="timeout", retry=ends(1.0), least=1.0,
    ),
    Fault(
        "F3 slow drip of the head",
        (Reply(text="x" * 900, drip=0.05, drip_headers=True),),
        lm15.TimeoutError, reason="timeout", retry=ends(1.0), least=1.0,
    ),
    Fault("F3 reset before the body", (Reply(text="cut", reset_after=0), Reply(text="yes")), requests=2),
    Fault("F3 reset in mid-body", (Reply(text="cut", reset_after=30), Reply(text="yes")), requests=2),
    Fault(
        "F3 reset for ever",
        (Reply(text="cut", reset_after=30),) * ATTEMPTS,
        lm15.TransportError, ATTEMPTS, "call_failed",
    ),
    Fault(
        "F3 the body ends early",
        (Reply(raw=b'{"choices"', headers={"Content-Length": "99"}, hang_up=True), Reply(text="yes")),
        requests=2,
    ),
    Fault("F4 HTML with 200", (Reply(raw=HTML),) * ATTEMPTS, lm15.ServerError, ATTEMPTS, "call_failed"),
    Fault("F4 nothing with 200", (Reply(raw=b""), Reply(text="yes")), requests=2),
    Fault("F5 another model answers", (Reply(text="yes", model="cheaper"),), says="answered by 'cheaper'"),
    Fault(
        "F5 the seed is not taken",
        (error(400, "seed is not supported"), Reply(text="yes")),
        requests=2, says="config.seed was dropped",
    ),
    Fault(
        "S6 a redirect",
        (Reply(status=307, headers={"Location": "http://127.0.0.1:9/v1/chat/completions"}),),
        RequestRejected, reason="call_failed", says="not followed",
    ),
)  # fmt: skip


@pytest.fixture(params=["threads", "event loop"])
def ask(request: pytest.FixtureRequest) -> Any:
    """Asks on one of the two roads."""
    if request.param == "threads":
        return lambda lm, messages=QUESTION, **config: lm.ask(messages, **config)
    return lambda lm, messages=QUESTION, **config: asyncio.run(lm.aask(messages, **config))


def attempt(ask: Any, lm: Any, **config: Any) -> Any:
    try:
        return ask(lm, **config)
    except Exception as failure:  # noqa: BLE001 - the table says which
        return failure


@pytest.mark.parametrize("fault", TABLE, ids=lambda fault: fault.name)
def test_the_table(fault, ask, make_session, server, caplog):
    session = make_session(retry=fault.retry, run_id="r", budget=Budget(calls=100))
    server.script(*fault.replies)
    lm = lm_of(session, server, seed=7)
    began = time.monotonic()
    got = attempt(ask, lm)
    seconds = time.monotonic() - began
    assert server.completions == fault.requests
    assert fault.least <= seconds < fault.most
    (line,) = session.ledger()
    assert line.attempts == session.budget.used.calls == fault.requests
    assert lm.engine.purchaser.limiter.overloads == fault.cuts
    assert lm.engine.purchaser.limiter.in_flight == 0
    assert fault.says in str(got) + getattr(got, "remedy", "") + caplog.text
    if fault.raises is None:
        assert got.text in ("yes", "ok")
        assert (line.calls, line.failed, line.prompt_tokens) == (1, 0, 10)
        assert attempt(ask, lm) == got  # from the cache, the same
        assert server.completions == fault.requests
        return
    assert isinstance(got, fault.raises), repr(got)
    assert (line.calls, line.failed) == (0, 1)
    if fault.reason is None:
        assert is_fatal(got)
        assert got.remedy
    else:
        assert reason_of(got)[0] == fault.reason
    if fault.pauses:
        assert isinstance(attempt(ask, lm), lm15.RateLimitError)
        assert server.completions == fault.requests
        return
    assert ask(lm).text == "ok"  # a failure is not remembered
    assert server.completions == fault.requests + 1


def test_f3_the_deadline_of_a_call_holds_over_its_attempts(ask, make_session, server):
    session = make_session(retry=RetryPolicy(attempts=99, first_wait=0.01, timeout=1.0, deadline=2.5))
    server.answer = lambda body: Reply(text="late", delay=LATE)
    began = time.monotonic()
    got = attempt(ask, lm_of(session, server))
    assert reason_of(got)[0] == "timeout"
    assert 1.0 <= time.monotonic() - began < LATE
    assert 1 <= server.completions <= 3
    assert session.ledger()[0].attempts == server.completions


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/v1", "http://no-such-host.invalid/v1"])
def test_f3_no_server_and_no_such_host(url, ask, session):
    got = attempt(ask, session.lm("openai:/any", base_url=url))
    assert isinstance(got, lm15.TransportError)
    assert reason_of(got)[0] == "call_failed"
    assert session.ledger()[0].attempts == ATTEMPTS


def test_f5_the_ledger_says_who_answered(ask, session, server):
    server.script(Reply(text="yes", model="cheaper"))
    assert ask(lm_of(session, server)).model == "cheaper"
    with session.store._database.use() as db:
        assert db.execute("SELECT model, answered FROM ledger").fetchall() == [("openai:/any", "cheaper")]


# ---- F7: when every call fails, sending stops


def many(ask: Any, lm: Any, calls: int) -> list[Any]:
    return [attempt(lambda lm, i=i: ask(lm, [{"role": "user", "content": str(i)}]), lm) for i in range(calls)]


def test_f7_when_every_call_is_refused_sending_stops(ask, session, server):
    server.answer = lambda body: error(401, "bad key")
    got = many(ask, lm_of(session, server), 20)
    assert server.completions == 3
    assert all(isinstance(failure, CredentialsError) and is_fatal(failure) for failure in got)


def test_f7_when_every_call_fails_sending_stops(ask, make_session, server):
    session = make_session(retry=RetryPolicy(attempts=2, first_wait=0.001, timeout=20, deadline=60))
    server.answer = lambda body: Reply(status=500)
    got = many(ask, lm_of(session, server), 15)
    assert server.completions == 20
    assert isinstance(got[-1], EndpointUnreachable)
    assert is_fatal(got[-1])
    assert session.ledger()[0].failed == 10


def test_f7_one_refusal_among_answers_does_not_stop_a_run(ask, session, server):
    server.script(Reply(text="yes"), error(403, "flagged by moderation"))
    got = many(ask, lm_of(session, server), 3)
    assert not is_fatal(got[1])
    assert reason_of(got[1])[0] == "call_failed"
    assert got[2].text == "ok"
    assert server.completions == 3


def test_a_budget_stops_both_roads(ask, make_session, server):
    session = make_session(budget=Budget(calls=2))
    got = many(ask, lm_of(session, server), 4)
    assert [type(one).__name__ for one in got] == ["Response", "Response", "BudgetExceeded", "BudgetExceeded"]
    assert isinstance(got[-1], BudgetExceeded)
    assert server.completions == 2


# ---- S6: addresses and keys


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "[fd00:ec2::254]"]
)
def test_s6_metadata_addresses_are_not_connected_to(host, ask, session, monkeypatch):
    connected = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: connected.append(address))
    got = attempt(ask, session.lm("openai:/any", base_url=f"http://{host}/latest"))
    assert isinstance(got, RequestRejected)
    assert "metadata" in str(got)
    assert connected == []
    assert session.ledger()[0].attempts == 1


def test_s6_a_name_that_is_bound_anew_is_refused(ask, session, server, monkeypatch):
    """The first answer of the resolver is harmless, all later ones lead to the metadata service."""
    real, asked = socket.getaddrinfo, []

    def resolver(host, port, *args, **kwargs):
        if host != "rebinding.test":
            return real(host, port, *args, **kwargs)
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "169.254.169.254"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, int(port)))]

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    lm = session.lm("openai:/any", base_url=server.base_url.replace("127.0.0.1", "rebinding.test"))
    server.script(Reply(text="yes", hang_up=True))
    assert ask(lm).text == "yes"
    time.sleep(0.2)  # until the client can know that the connection is gone
    got = attempt(lambda lm: ask(lm, [{"role": "user", "content": "again"}]), lm)
    assert isinstance(got, RequestRejected)
    assert "metadata" in str(got)
    assert server.completions == 1
    assert len(asked) >= 2


def test_s6_a_key_goes_to_its_origin_and_is_nowhere_afterwards(
    ask, make_session, server, monkeypatch, tmp_path, caplog
):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    with FaultServer() as elsewhere:
        session = make_session(run_id="r")
        lm = session.lm("openai:/any", base_url=server.base_url, extra_headers={"X-Api-Key": CANARY + "-h"})
        server.script(
            Reply(status=307, headers={"Location": elsewhere.base_url + "/chat/completions"}),
            error(400, "bad"), *[Reply(status=500)] * ATTEMPTS, Reply(text="yes"),
        )  # fmt: skip
        shown = [repr(one) + str(one) + repr(one.__cause__) for one in many(ask, lm, 3)]
        assert ask(lm).text == "yes"
        assert elsewhere.connections == 0
    session.close()
    assert {r.headers["authorization"] for r in server.requests} == {f"Bearer {CANARY}"}
    assert {r.headers["x-api-key"] for r in server.requests} == {CANARY + "-h"}
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert CANARY.encode() not in stored
    assert CANARY not in "".join(shown) + caplog.text + repr(lm.dump_state())


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0b"])
def test_s6_no_header_can_bring_another(value, ask, session, server):
    lm = session.lm("openai:/any", base_url=server.base_url, extra_headers={"X-Note": value})
    got = attempt(ask, lm)
    assert isinstance(got, JudgeOptError), repr(got)
    assert server.requests == []


def test_a_large_answer_is_cut_off(ask, session, server, monkeypatch):
    monkeypatch.setattr("judge_opt.llm.connection.LARGEST_REPLY", 1000)
    server.script(Reply(text="x" * 5000))
    got = attempt(ask, lm_of(session, server))
    assert isinstance(got, RequestRejected)
    assert "larger than" in str(got)
    assert server.completions == 1
