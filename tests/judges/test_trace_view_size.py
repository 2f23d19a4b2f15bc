"""V1: big traces under a stated ceiling. Memory is measured; the time limits are only there to catch work
that is not linear, and leave room for a machine many times slower."""

import time
import tracemalloc

import pytest
from trace_samples import many_spans, span

from judge_opt.judges.trace_view import render_trace

MIB = 1 << 20
SLOW = 100.0  # of processor time


def measured(trace, budget=4000):
    tracemalloc.start()
    try:
        began = time.process_time()
        view = render_trace(trace, budget)
        seconds = time.process_time() - began
        return view, seconds, tracemalloc.get_traced_memory()[1] / MIB
    finally:
        tracemalloc.stop()


def chain(count):
    return [span(i, i - 1 if i > 1 else None, "n", "CHAIN") for i in range(1, count + 1)]


def cycle(count):
    made = chain(count)
    made[0]["parent_id"] = made[-1]["span_id"]
    return made


def orphans(count):
    return [span(i, 10**7 + i, "n", "TOOL") for i in range(1, count + 1)]


@pytest.mark.parametrize(
    "spans",
    [lambda n: many_spans(n)["spans"], chain, cycle, orphans],
    ids=["flat", "deep", "cycle", "orphans"],
)
def test_100_000_spans(spans):
    made = spans(100_000)
    view, seconds, peak = measured({"spans": made})
    assert view.spans == 100_000
    assert view.tokens <= 4000
    assert view.shown + sum(one.cut for one in view.cut if one.unit == "spans") == 100_000
    assert peak < 150
    assert seconds < SLOW


@pytest.mark.parametrize(
    "value",
    [
        "x" * (10 * MIB),
        "\n\ud800" * (5 * MIB),
        {"k": ["\u2028" * 1000] * 10_000},
        "[" * (10 * MIB),
        "{" * 3_999_999,
    ],
    ids=["letters", "breaks", "nested", "brackets", "braces"],
)
def test_a_value_of_10_megabytes(value):
    made = [
        span(1, None, "n", "LLM", input__value=value, output__value=value),
        span(2, 1, "n", "TOOL", x=value),
    ]
    view, seconds, peak = measured({"inputs": value, "spans": made})
    assert view.tokens <= 4000
    assert view.cut
    assert peak < 150
    assert seconds < SLOW


def test_a_history_that_every_call_repeats():
    message = {"role": "user", "content": "y" * MIB}
    made = [span(i, None, "chat", "LLM", input__value=[message] * i) for i in range(1, 60)]
    view, seconds, peak = measured(made, 20_000)
    assert view.repeated > 1000
    assert peak < 150
    assert seconds < SLOW


def test_a_span_of_100_000_attributes():
    view, seconds, _ = measured([span(1, None, "n", "TOOL", **{f"k{i}": i for i in range(100_000)})])
    assert view.shown == 1
    assert seconds < SLOW
