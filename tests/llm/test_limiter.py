"""How much is sent to one endpoint at once and in a minute."""

import asyncio
import math
import threading
import time

import pytest
from dspy import lm15
from hypothesis import given
from hypothesis import strategies as st
from llm_helpers import lm_of

from judge_opt.core.errors import UsageError
from judge_opt.llm import RetryPolicy, map_threads
from judge_opt.llm.limiter import Limiter, _Bucket
from judge_opt.llm.retry import cancelled
from judge_opt.testing.fault_server import Reply

SOON = 60.0


def overload(retry_after=None):
    return lm15.RateLimitError("busy", status=429, retry_after=retry_after)


def question(text):
    return [{"role": "user", "content": str(text)}]


def all_rows(road, lm, rows, width):
    if road == "threads":
        return map_threads(lambda i: lm.ask(question(i)).text, range(rows), width)

    async def main():
        numbers, replies = iter(range(rows)), {}

        async def work():
            for i in numbers:
                replies[i] = (await lm.aask(question(i))).text

        await asyncio.gather(*[work() for _ in range(width)])
        return [replies[i] for i in range(rows)]

    return asyncio.run(main())


@pytest.mark.parametrize("road", ["threads", "event loop"])
def test_it_settles_near_what_the_endpoint_takes(road, make_session, server):
    """429 above 4 in flight: all rows are answered, few requests are refused."""
    retry = RetryPolicy(attempts=12, first_wait=0.02, longest_wait=0.5, timeout=60, deadline=120)
    session = make_session(retry=retry)
    server.capacity = 4
    server.answer = lambda body: Reply(text=body["messages"][-1]["content"], delay=0.02)
    lm = lm_of(session, server)
    assert all_rows(road, lm, 200, 32) == [str(i) for i in range(200)]
    limiter = lm.engine.purchaser.limiter
    assert limiter.overloads == server.refused
    assert server.completions == 200 + server.refused
    assert server.refused < 200
    assert 1 <= limiter.limit <= 12
    (line,) = session.ledger()
    assert (line.calls, line.failed, line.attempts) == (200, 0, server.completions)


@pytest.mark.parametrize("road", ["threads", "event loop"])
def test_the_session_says_the_ceiling_once(road, make_session, server):
    server.answer = lambda body: Reply(text="yes", delay=0.03)
    all_rows(road, lm_of(make_session(concurrency=3), server), 20, 12)
    assert server.in_flight_most == 3


def test_without_a_ceiling_the_callers_say_how_much(session, server):
    all_here = threading.Barrier(48)
    server.answer = lambda body: (all_here.wait(SOON), "yes")[1]
    all_rows("threads", lm_of(session, server), 48, 48)
    assert server.in_flight_most == 48


def test_models_at_one_endpoint_share_it(make_session, server):
    server.answer = lambda body: Reply(text="yes", delay=0.03)
    session = make_session(concurrency=2)
    lms = [session.lm(f"openai:/{name}", base_url=server.base_url) for name in "abc"]
    map_threads(lambda i: lms[i % 3].ask(question(i)), range(18), 9)
    assert server.in_flight_most == 2


def test_a_retry_after_holds_back_the_whole_endpoint(make_session, server):
    session = make_session(retry=RetryPolicy(attempts=3, first_wait=0.01, timeout=60, deadline=120))
    server.script(Reply(status=429, headers={"Retry-After": "1.0"}))
    lm = lm_of(session, server)
    refused = threading.Thread(target=lambda: lm.ask(question("refused")))
    refused.start()
    while not lm.engine.purchaser.limiter.overloads:
        time.sleep(0.005)
    resumes = lm.engine.purchaser.limiter._resumes
    lm.ask(question("another"))
    assert time.monotonic() >= resumes
    refused.join(SOON)
    assert server.completions == 3


def test_who_is_told_to_stop_does_not_wait(make_session):
    limiter = Limiter()
    ticket = limiter.try_enter()
    limiter.leave(ticket, 0, overload(retry_after=1000))
    stop = threading.Event()
    token = cancelled.set(stop)
    try:
        threading.Timer(0.1, stop.set).start()
        with pytest.raises(lm15.RateLimitError, match="stopped"):
            limiter.enter(0, time.monotonic() + 5000)
    finally:
        cancelled.reset(token)
    assert not limiter._queue


def test_a_deadline_ends_the_wait_for_a_slot():
    limiter = Limiter(ceiling=1)
    held = limiter.try_enter()
    assert held is not None
    with pytest.raises(lm15.TimeoutError):
        limiter.enter(0, time.monotonic() + 0.05)

    async def task():
        await limiter.aenter(0, time.monotonic() + 0.05)

    with pytest.raises(lm15.TimeoutError):
        asyncio.run(task())
    limiter.leave(held, 0, None)
    assert limiter.try_enter() is not None


def test_a_cancelled_task_leaves_the_queue():
    limiter = Limiter(ceiling=1)
    held = limiter.try_enter()

    async def main():
        far = time.monotonic() + SOON
        first = asyncio.create_task(limiter.aenter(0, far))
        second = asyncio.create_task(limiter.aenter(0, far))
        await asyncio.sleep(0.05)
        first.cancel()
        await asyncio.sleep(0.05)
        limiter.leave(held, 0, None)
        return await asyncio.wait_for(second, SOON)

    assert asyncio.run(main()) is not None
    assert limiter.in_flight == 1


def test_requests_a_minute(make_session, server):
    """600 a minute: ten seconds' worth at once, then ten a second."""
    session = make_session(retry=RetryPolicy(timeout=60, deadline=120))
    lm = lm_of(session, server, options={"rpm": 600})
    began = time.monotonic()
    all_rows("threads", lm, 115, 16)
    assert time.monotonic() - began >= 1.4
    assert server.completions == 115


def test_tokens_a_minute_are_settled_to_what_was_used():
    limiter = Limiter(tpm=6000)
    ticket = limiter.try_enter(900)
    assert ticket is not None
    assert limiter.try_enter(900) is None
    limiter.leave(ticket, 12, None)
    assert limiter.try_enter(900) is not None


def test_a_call_larger_than_the_bucket_goes_when_it_is_full():
    assert Limiter(tpm=60).try_enter(10_000) is not None


@pytest.mark.parametrize("option", ["rpm", "tpm", "max_parallel_requests"])
@pytest.mark.parametrize("value", [0, -1, "many", True])
def test_limits_that_are_none(session, server, option, value):
    with pytest.raises(UsageError, match=option):
        lm_of(session, server, options={option: value})


def test_limits_are_no_part_of_the_question(session, server):
    lm_of(session, server).ask(question("q"))
    lm_of(session, server, options={"rpm": 1000, "max_parallel_requests": 2}).ask(question("q"))
    assert server.completions == 1
    assert lm_of(session, server).engine.purchaser.limiter.ceiling == 2


@given(st.lists(st.sampled_from(["enter", "answered", "overload", "failed"]), max_size=60))
def test_its_books_are_always_right(steps):
    limiter = Limiter(ceiling=8)
    held = []
    for step in steps:
        if step == "enter":
            ticket = limiter.try_enter()
            assert (ticket is not None) == (len(held) + 1 <= limiter.limit)
            if ticket is not None:
                held.append(ticket)
        elif held:
            error = {"answered": None, "overload": overload(), "failed": lm15.ServerError("x", status=500)}[
                step
            ]
            limiter.leave(held.pop(), 0, error)
        assert limiter.in_flight == len(held)
        assert 1 <= limiter.limit <= 8


def test_growth_is_one_a_round():
    limiter = Limiter(ceiling=100)
    tickets = [limiter.try_enter() for _ in range(10)]
    for ticket in tickets:
        limiter.leave(ticket, 0, overload())
    low = limiter.limit
    assert low < 10
    for _ in range(math.ceil(low)):
        ticket = limiter.try_enter()
        limiter.leave(ticket, 0, None)
    assert low + 0.5 < limiter.limit < low + 1.5


@given(st.lists(st.floats(0, 5000), max_size=30), st.floats(1, 1000))
def test_a_bucket_never_gives_more_than_it_gets(amounts, rate):
    bucket = _Bucket(rate * 60)
    began = now = bucket._seen
    taken = 0.0
    for amount in amounts:
        now += bucket.wait(amount, now)
        assert bucket.wait(amount, now) < 1e-3
        bucket.take(amount)
        taken += amount
        beyond = max(0.0, amount - bucket._most)  # a call larger than the bucket goes when it is full
        assert taken <= bucket._most + beyond + rate * (now - began) * (1 + 1e-6) + 1e-3
