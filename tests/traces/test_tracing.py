"""@trace and start_span: what is recorded, and that the traced program does not notice."""

import asyncio
import functools
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from judge_opt.core.errors import UsageError
from judge_opt.traces import fluent
from judge_opt.traces.as_json import Limits
from judge_opt.traces.fluent import (
    carry_context,
    configure_tracing,
    get_current_active_span,
    get_last_active_trace_id,
    get_trace,
    start_span,
    trace,
    update_current_trace,
    use_store,
)


@pytest.fixture(autouse=True)
def _default_store(store):
    with use_store(store):
        yield
    configure_tracing(enabled=True, on_error="log", background=False, limits=Limits())


def last():
    return get_trace(get_last_active_trace_id())


def shape(found):
    """The span tree as nested (name, children)."""

    def below(parent):
        return [(span["name"], below(span["span_id"])) for span in found.spans if span["parent_id"] == parent]

    return below(None)


def test_a_function_is_a_trace_and_what_it_calls_are_its_spans():
    @trace(span_type="RETRIEVER", attributes={"index": "faq"})
    def search(query, k=3):
        return [{"id": n} for n in range(k)]

    @trace
    def answer(question, /, *rest, style="short", **more):
        with start_span("think", span_type="LLM") as span:
            assert get_current_active_span() is span
            span.set_inputs({"messages": [question]})
            span.set_attribute("gen_ai.usage.input_tokens", 12)
            span.add_event("first token", {"ms": 4})
            found = search(question, k=1)
            span.set_outputs("done")
        return {"response": found, "style": style}

    update_inside = {"issue": "late"}
    assert answer("where?", extra=update_inside) == {"response": [{"id": 0}], "style": "short"}
    found = last()
    assert get_current_active_span() is None
    assert found.inputs == {"question": "where?", "style": "short", "extra": {"issue": "late"}}
    assert found.outputs == {"response": [{"id": 0}], "style": "short"}
    assert shape(found) == [("answer", [("think", [("search", [])])])]
    assert (found.name, found.status) == ("answer", "OK")
    root, think, search_span = found.spans
    assert think["attributes"] == {
        "openinference.span.kind": "LLM",
        "input.value": {"messages": ["where?"]},
        "gen_ai.usage.input_tokens": 12,
        "output.value": "done",
    }
    assert [event["name"] for event in think["events"]] == ["first token"]
    assert search_span["attributes"]["input.value"] == {"query": "where?", "k": 1}
    assert search_span["attributes"]["index"] == "faq"
    assert root["start_ns"] <= think["start_ns"] <= search_span["end_ns"] <= think["end_ns"] <= root["end_ns"]
    assert abs(found.created.timestamp() - time.time()) < 600
    assert all(len(span["span_id"]) == 16 and span["kind"] == "INTERNAL" for span in found.spans)


def test_an_exception_is_recorded_and_raised_again():
    @trace
    def inner():
        raise ValueError("no such parcel")

    @trace
    def outer():
        try:
            inner()
        except ValueError:
            return "recovered"

    with pytest.raises(ValueError, match="no such parcel"):
        inner()
    found = last()
    assert (found.status, found.outputs) == ("ERROR", None)
    assert found.spans[0]["status"]["message"] == "ValueError: no such parcel"
    [event] = found.spans[0]["events"]
    assert event["name"] == "exception"
    assert event["attributes"]["exception.type"] == "ValueError"
    assert "no such parcel" in event["attributes"]["exception.stacktrace"]
    assert outer() == "recovered"
    assert [span["status"]["code"] for span in last().spans] == ["OK", "ERROR"]


def test_methods_static_methods_class_methods_partials_and_callables():
    class Agent:
        @trace
        def run(self, q):
            return q

        @trace(name="made")
        @classmethod
        def make(cls, q):
            return q

        @staticmethod
        @trace
        def check(q):
            return q

        def __call__(self, q):
            return q

    assert (Agent().run(1), Agent.make(2), Agent().make(2), Agent.check(3)) == (1, 2, 2, 3)
    assert last().inputs == {"q": 3}
    assert Agent().run(1) == 1
    assert (last().inputs, last().name) == ({"q": 1}, "run")
    assert trace(Agent())(4) == 4
    assert (last().inputs, last().name) == ({"q": 4}, "Agent")
    assert trace(functools.partial(lambda a, b: a + b, 1), name="sum")(b=2) == 3
    assert last().inputs == {"b": 2}
    with pytest.raises(UsageError, match=r"cannot be traced. Decorate a function"):
        trace(Agent)
    with pytest.raises(UsageError, match=r"cannot be traced"):
        trace(3)
    with pytest.raises(TypeError, match=r"missing 1 required positional argument: 'q'"):
        Agent().run()
    assert last().status == "ERROR"


def test_coroutines_side_by_side_do_not_mix():
    @trace
    async def step(n):
        await asyncio.sleep(0.01 * (3 - n))
        return n

    @trace
    async def agent(n):
        async with start_span("inside") as span:
            await asyncio.gather(step(n), step(n))
            span.set_outputs(n)
        return get_current_active_span().trace_id

    async def main():
        return await asyncio.gather(*(agent(n) for n in range(3)))

    ids = asyncio.run(main())
    assert len(set(ids)) == 3
    for n, trace_id in enumerate(ids):
        found = get_trace(trace_id)
        assert shape(found) == [("agent", [("inside", [("step", []), ("step", [])])])]
        assert {span["attributes"]["output.value"] for span in found.spans[1:]} == {n}


def test_a_cancelled_coroutine_is_recorded_as_an_error():
    @trace
    async def slow():
        await asyncio.sleep(60)

    async def main():
        task = asyncio.create_task(slow())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert last().status == "ERROR"


def test_a_generators_span_ends_with_it_and_is_not_current_in_its_consumer():
    @trace
    def inner():
        return get_current_active_span().name

    @trace
    def tokens(n):
        for i in range(n):
            yield f"{inner()}{i}"
        return "end"

    @trace
    def consumer():
        seen = []
        for token in tokens(2):
            assert get_current_active_span().name == "consumer"
            with start_span("use"):
                seen.append(token)
        return seen

    assert consumer() == ["inner0", "inner1"]
    found = last()
    assert shape(found) == [
        ("consumer", [("tokens", [("inner", []), ("inner", [])]), ("use", []), ("use", [])])
    ]
    assert found.spans[1]["attributes"]["output.value"] == ["inner0", "inner1"]

    def value_of():
        return (yield from tokens(1))

    outer = value_of()
    assert next(outer) == "inner0"
    with pytest.raises(StopIteration) as stop:
        next(outer)
    assert stop.value.value == "end"


def test_a_generator_that_is_closed_sent_to_or_thrown_into():
    @trace(output_reducer=lambda items: "+".join(items))
    def echo():
        said = yield "ready"
        while True:
            try:
                said = yield said
            except KeyError as error:
                said = f"caught {error}"

    generator = echo()
    assert next(generator) == "ready"
    assert generator.send("a") == "a"
    assert generator.throw(KeyError("k")) == "caught 'k'"
    before = get_last_active_trace_id()
    generator.close()
    assert get_last_active_trace_id() != before
    assert last().outputs == "ready+a+caught 'k'"
    assert last().spans[0]["attributes"]["judge_opt.closed_early"] is True
    assert last().status == "OK"

    @trace
    def broken():
        yield 1
        raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        list(broken())
    assert (last().status, last().outputs) == ("ERROR", [1])


def test_asynchronous_generators():
    @trace
    async def stream(n):
        for i in range(n):
            await asyncio.sleep(0)
            with start_span(f"chunk {i}"):
                pass
            yield i

    @trace
    async def agent():
        return [i async for i in stream(3)]

    async def stops_early():
        generator = stream(5)
        async for i in generator:
            if i == 1:
                break
        await generator.aclose()

    assert asyncio.run(agent()) == [0, 1, 2]
    assert shape(last()) == [("agent", [("stream", [("chunk 0", []), ("chunk 1", []), ("chunk 2", [])])])]
    asyncio.run(stops_early())
    assert (last().name, last().outputs) == ("stream", [0, 1])
    assert last().spans[0]["attributes"]["judge_opt.closed_early"] is True


def test_threads_need_the_context_to_be_carried():
    @trace
    def step(n):
        return n

    @trace
    def with_pool():
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(carry_context(step), range(8)))

    @trace
    def without():
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(step, 1).result()

    assert with_pool() == list(range(8))
    assert len(last().spans) == 9
    assert {span["parent_id"] for span in last().spans[1:]} == {last().spans[0]["span_id"]}
    without()
    assert shape(last()) == [("without", [])]


def test_last_trace_id_is_of_this_thread_where_it_has_one():
    @trace
    def step(n):
        return get_current_active_span().trace_id

    mine = step(0)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(step, 1).result()
        assert pool.submit(get_last_active_trace_id).result() == other
    assert get_last_active_trace_id() == mine


def test_tags_metadata_and_session_of_the_current_trace():
    @trace
    def turn():
        with start_span("inside"):
            update_current_trace(tags={"env": "test"}, metadata={"model": {"name": "m"}}, session="s1")
            update_current_trace(tags={"n": 1}, metadata={"mlflow.trace.session": "s2"})

    turn()
    found = last()
    assert (found.tags, found.session) == ({"env": "test", "n": "1"}, "s2")
    assert found.metadata["model"] == {"name": "m"}
    assert found.spans[0]["attributes"]["session.id"] == "s2"
    with pytest.raises(UsageError, match=r"No trace is being recorded here"):
        update_current_trace(tags={"a": "b"})


def test_a_span_begun_after_its_trace_has_ended_is_a_trace_of_its_own(store):
    async def main():
        done = asyncio.Event()

        async def later():
            await done.wait()
            with start_span("later"):
                pass

        @trace
        async def agent():
            return asyncio.create_task(later())

        task = await agent()
        first = get_last_active_trace_id()
        done.set()
        await task
        return first

    first = asyncio.run(main())
    second = next(found for found in store.iter_traces() if found.name == "later")
    assert second.metadata == {"judge_opt.linked_trace": first}


def test_a_span_that_outlives_its_trace_is_stored_as_open():
    with start_span("root"):
        open_one = fluent.start_span("open").__enter__()
    assert last().spans[1]["end_ns"] is None
    open_one.set_outputs("too late")
    assert "output.value" not in last().spans[1]["attributes"]


def test_tracing_can_be_switched_off(store):
    configure_tracing(enabled=False)

    @trace
    def step(n):
        with start_span("inside") as span:
            span.set_inputs(n)
            update_current_trace(tags={"a": "b"})
        return n

    assert step(3) == 3
    assert store.search_traces() == []


def test_limits_cut_and_say_so():
    configure_tracing(limits=Limits(characters=100, items=3, spans=3, trace_characters=250, events=2))

    @trace
    def step(text):
        for n in range(5):
            with start_span(f"s{n}") as span:
                span.set_inputs("x" * 90)
                for _ in range(3):
                    span.add_event("e")
        return list(range(10))

    assert len(step("y" * 1000)) == 10
    found = last()
    assert (found.inputs["text"], found.outputs) == ("y" * 96, [0, 1, 2])  # the key has four
    assert found.spans[0]["attributes"]["judge_opt.truncated"] == {
        "input.value": [{"path": "text", "kept": 96, "of": 1000}],
        "output.value": [{"path": "", "kept": 3, "of": 10}],
    }
    assert [span["name"] for span in found.spans] == ["step", "s0", "s1"]
    assert [len(span["attributes"]["input.value"]) for span in found.spans[1:]] == [90, 60]
    assert found.spans[1]["attributes"]["judge_opt.truncated"] == {
        "events": [{"path": "", "kept": 2, "of": 3}]
    }
    assert found.metadata["judge_opt.truncated"] == {"spans_with_cuts": 3, "spans_dropped": 3}


def test_one_block_object_may_be_entered_again_and_inside_itself():
    block = start_span("block", inputs=1)
    with block, block as inner:
        inner.set_outputs(2)
    assert shape(last()) == [("block", [("block", [])])]
    with block:
        pass
    assert shape(last()) == [("block", [])]


def test_status_can_be_set_by_hand():
    with start_span("guarded") as span:
        span.set_status("ERROR", "the model refused")
        with pytest.raises(UsageError, match=r"status 'FINE' is not known"):
            span.set_status("FINE")
    assert (last().status, last().spans[0]["status"]["message"]) == ("ERROR", "the model refused")
