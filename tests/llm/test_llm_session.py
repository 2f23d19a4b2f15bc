"""URIs, sessions, budgets, parallel rows, and what an import costs."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge_opt.core.errors import BudgetExceeded, EndpointUnreachable, UsageError
from judge_opt.llm import Budget, ModelURI, Session, current_session, map_threads, use_session
from judge_opt.llm.budget import Cost
from judge_opt.llm.circuit import Circuit
from judge_opt.llm.flight import Flights
from judge_opt.llm.keys import _repeat, repeat
from judge_opt.llm.session import calls_for
from judge_opt.testing.fault_server import Reply


@pytest.mark.parametrize(
    ("text", "provider", "name"),
    [
        ("openai:/gpt-4o-mini", "openai", "gpt-4o-mini"),
        ("openai/gpt-4o-mini", "openai", "gpt-4o-mini"),
        (" OpenAI:/gpt-4o ", "openai", "gpt-4o"),
        ("hosted_vllm:/meta-llama/Llama-3.1-8B", "hosted_vllm", "meta-llama/Llama-3.1-8B"),
        ("together_ai/meta-llama/Llama-3.1-8B", "together_ai", "meta-llama/Llama-3.1-8B"),
        ("local:/smollm2", "local", "smollm2"),
        ("ollama:/llama3:8b", "ollama", "llama3:8b"),
    ],
)
def test_uris(text, provider, name):
    uri = ModelURI.parse(text)
    assert (uri.provider, uri.name) == (provider, name)
    assert ModelURI.parse(str(uri)) == uri == ModelURI.parse(uri.litellm_name)


@pytest.mark.parametrize(
    "text", ["", "gpt-4o", ":/x", "openai:/", "/x", "open ai:/x", "openai:/a b", None, 3]
)
def test_malformed_uris(text):
    with pytest.raises(UsageError) as caught:
        ModelURI.parse(text)
    assert "provider:/name" in caught.value.remedy


@given(st.text())
def test_any_text_is_a_uri_or_a_usage_error(text):
    with contextlib.suppress(UsageError):
        ModelURI.parse(text)


def test_options_that_do_not_fit(session):
    with pytest.raises(UsageError):
        session.lm("local:/smollm2", base_url="http://localhost/v1")
    with pytest.raises(UsageError):
        session.lm("openai:/any", options={"n_ctx": 1})
    with pytest.raises(UsageError):
        session.__class__(session.home, concurrency=0)


def test_a_plain_thread_takes_the_session_that_is_in_use(tmp_path, monkeypatch):
    monkeypatch.setattr("judge_opt.llm.session._default", [])
    monkeypatch.setattr("judge_opt.llm.session._in_use", [])
    found = []

    def look():
        try:
            found.append(current_session())
        except UsageError as error:
            found.append(error)

    def in_a_thread():
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        return found.pop()

    with Session(tmp_path / "a") as one, Session(tmp_path / "b") as other, use_session(one), use_session(one):
        assert in_a_thread() is one
        with use_session(other):
            assert "Several sessions" in str(in_a_thread())
        assert in_a_thread() is one
        with one.part("a part") as part, use_session(part):
            assert in_a_thread() is part
            with use_session(other):
                assert "Several sessions" in str(in_a_thread())


def test_a_model_books_where_it_is_taken_and_what_it_is_asked_for(session, server):
    outer = session.lm("openai:/any", base_url=server.base_url)
    with session.part("a part", Budget(calls=1)) as part, use_session(part):
        inner = outer.within(part, "agent")
        inner("1")
        with pytest.raises(BudgetExceeded):
            inner("2")
        inner("1")
        outer("3")
        with calls_for("agent"):
            assert part.lm("openai:/any", base_url=server.base_url).engine.purpose == "agent"
        assert [(line.purpose, line.calls, line.hits) for line in part.ledger()] == [("agent", 1, 1)]
    assert {(line.purpose, line.calls) for line in session.ledger()} == {("agent", 1), ("judge", 1)}


def test_the_current_session(session, tmp_path, monkeypatch):
    with use_session(session):
        assert current_session() is session
        assert map_threads(lambda _: current_session(), range(3)) == [session] * 3
    monkeypatch.setenv("JUDGE_OPT_HOME", str(tmp_path / "other"))
    monkeypatch.setattr("judge_opt.llm.session._default", [])
    assert current_session().home == tmp_path / "other"
    assert current_session() is current_session()


def test_a_saved_engine_is_made_again_in_the_current_session(session, server):
    engine = session.engine("openai:/any", "reflect", server.base_url)
    with use_session(session):
        again = type(engine).load_state(engine.dump_state())
    assert (again.model, again.purpose, again.backend) == (engine.model, engine.purpose, engine.backend)


def test_litellm_gets_the_same_contract(session, server, monkeypatch):
    """LiteLLM's own OpenAI-compatible provider, pointed at the server by its environment variable."""
    monkeypatch.setenv("HOSTED_VLLM_API_BASE", server.base_url)
    import_module("litellm")  # seconds of work, on a busy machine more than the call's deadline
    lm = session.lm("hosted_vllm:/any")
    server.script(Reply(status=503), Reply(text="yes"))
    assert lm("q") == ["yes"] == lm("q")
    assert server.completions == 2
    (line,) = session.ledger()
    assert (line.calls, line.attempts, line.hits, line.prompt_tokens) == (1, 2, 1, 10)


# ---- parallel rows


def test_results_are_in_order_and_context_is_carried():
    with repeat(3):
        results = map_threads(lambda i: (time.sleep(0.002 * (9 - i)), i, _repeat.get())[1:], range(10), 5)
    assert results == [(i, 3) for i in range(10)]
    assert map_threads(str, [], 4) == []


def test_the_first_failure_stops_the_rest():
    begun = []

    def work(i):
        begun.append(i)
        time.sleep(0.01)
        if i == 5:
            raise ValueError("row 5")
        return i

    with pytest.raises(ValueError, match="row 5"):
        map_threads(work, range(1000), 4)
    assert len(begun) < 20


def test_a_retry_is_not_waited_for_once_rows_are_stopped(session, server):
    both_sent = threading.Barrier(2)

    def answer(body):
        both_sent.wait(10)
        return Reply(status=429, headers={"Retry-After": "9"}) if "slow" in str(body) else Reply(status=401)

    server.answer = answer
    lm = session.lm("openai:/any", base_url=server.base_url)
    started = time.monotonic()
    with pytest.raises(Exception, match="401"):
        map_threads(lambda text: lm(text), ["slow", "refused"], 2)
    assert time.monotonic() - started < 5


# ---- parts


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 5)), max_size=40), st.integers(0, 30))
def test_a_budget_never_overruns(calls, limit):
    budget = Budget(tokens=limit)
    for most, actual in calls:
        try:
            budget.reserve(Cost(1, most))
        except BudgetExceeded:
            assert budget.used.tokens + most > limit
        else:
            budget.settle(Cost(1, most), Cost(1, min(actual, most)))
        assert budget.used.tokens <= limit


def test_a_budget_under_threads():
    budget = Budget(calls=100)
    granted = []

    def work(_):
        try:
            budget.reserve(Cost(1))
            granted.append(1)
        except BudgetExceeded:
            pass

    map_threads(work, range(500), 16)
    assert len(granted) == 100


def test_a_circuit_lets_one_call_through_after_its_rest():
    circuit = Circuit(outages=2, rest=0.1)
    circuit.failed("m", "down")
    assert circuit.check() is None
    circuit.failed("m", "down")
    assert isinstance(circuit.check(), EndpointUnreachable)
    time.sleep(0.12)
    assert circuit.check() is None
    assert circuit.check() is not None
    circuit.succeeded()
    assert circuit.check() is None


def test_a_follower_leads_where_the_leader_was_interrupted():
    flights = Flights()
    entered, go = threading.Event(), threading.Event()

    def interrupted():
        entered.set()
        go.wait(5)
        raise KeyboardInterrupt

    def leader():
        with pytest.raises(KeyboardInterrupt):
            flights.lead_or_follow("k", interrupted)

    first = threading.Thread(target=leader)
    first.start()
    entered.wait(5)
    results = []
    second = threading.Thread(target=lambda: results.append(flights.lead_or_follow("k", lambda: "value")))
    second.start()
    time.sleep(0.05)
    go.set()
    first.join(5)
    second.join(5)
    assert results == [("value", True)]


LIGHT = """
import sys
import judge_opt.llm
heavy = {"dspy", "litellm", "torch", "sentence_transformers", "aiohttp", "numpy"} & set(sys.modules)
assert not heavy, heavy
from judge_opt.llm import Session
Session(__import__("pathlib").Path(sys.argv[1])).lm("openai:/any", base_url="http://127.0.0.1:9/v1")
heavy = {"litellm", "torch", "sentence_transformers", "transformers"} & set(sys.modules)
assert not heavy, heavy
assert set(judge_opt.llm.__all__) == set(judge_opt.llm._HOME)
for name in judge_opt.llm.__all__:
    getattr(judge_opt.llm, name)
"""


def test_what_an_import_costs(tmp_path):
    env = {**os.environ, "PYTHONPATH": os.getcwd()}
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, str(tmp_path)], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_session_can_be_used_again_after_close(session: Session, server):
    lm = session.lm("openai:/any", base_url=server.base_url)
    lm("q")
    session.close()
    assert session.lm("openai:/any", base_url=server.base_url)("q") == ["ok"]
    assert server.completions == 1
