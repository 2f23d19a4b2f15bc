"""What is bought once, and the hard stop of a budget."""

import asyncio
import time

import dspy
import pytest
from dspy import lm15
from llm_helpers import ATTEMPTS, lm_of, outcome

from judge_opt.core.errors import (
    BudgetExceeded,
    UsageError,
)
from judge_opt.llm import Budget, is_fatal, map_threads, repeat
from judge_opt.testing.fault_server import FaultServer, Reply

# ---- bought once


def test_equal_calls_at_the_same_time_are_bought_once(session, server):
    server.answer = lambda body: Reply(text="yes", delay=0.3)
    lm = lm_of(session, server)
    assert map_threads(lambda _: lm("q"), range(50), concurrency=50) == [["yes"]] * 50
    assert server.completions == 1
    (line,) = session.ledger()
    assert (line.calls, line.hits) == (1, 49)


def test_a_failed_leader_does_not_poison_the_key(session, server):
    server.script(*[Reply(status=500)] * ATTEMPTS)
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
        return await asyncio.gather(
            *[lm.acall("q") for _ in range(10)], *[lm.acall(f"q{i}") for i in range(5)]
        )

    assert asyncio.run(ask()) == [["yes"]] * 15
    assert server.completions == 6


def test_connections_are_kept(session, server):
    lm = lm_of(session, server)
    for round_ in range(5):
        map_threads(lambda i, r=round_: lm(f"{r}-{i}"), range(8), concurrency=4)
    assert server.connections <= 5


def test_a_connection_that_the_server_gave_up_is_not_used(session, server):
    server.script(Reply(text="a", hang_up=True), Reply(text="b"))
    lm = lm_of(session, server)
    lm("1")
    time.sleep(0.1)
    lm("2")
    assert server.completions == session.ledger()[0].attempts == 2


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
