"""Large traces: whole, and in flat memory, on SQLite and PostgreSQL."""

from judge_opt.traces import Store, Trace

LARGE = """
import sys
from judge_opt.traces import Store, Trace

def trace(n):
    return Trace(f"t{n}", inputs=chr(97 + n) * 10_000_000)

def most():  # MB that this process ever held; ru_maxrss would begin with that of the process that started it
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024

with Store(sys.argv[1]) as store:
    store.add_trace(trace(0))
    list(store.iter_traces())
    one = most()
    store.add_traces(trace(n) for n in range(1, 12))
    count = sum(len(found.inputs) == 10_000_000 for found in store.iter_traces())
    print(count, most() - one)
"""

SPANS = """
import sys
from judge_opt.traces import Store, Trace
spans = [
    {"span_id": f"{n:016x}", "parent_id": None if n == 0 else f"{n // 10:016x}", "name": f"step {n}",
     "kind": "INTERNAL", "start_ns": n, "end_ns": n + 1, "status": {"code": "OK", "message": ""},
     "attributes": {"input.value": n}, "events": []}
    for n in range(100_000)
]
with Store(sys.argv[1]) as store:
    store.add_trace(Trace("many", spans=spans))
    found = store.get_trace("many")
    assert list(found.spans) == spans
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(int(peak.split()[1]) / 1024)
"""


def printed(process):
    out, err = process.communicate(timeout=280)
    assert process.returncode == 0, err
    return [float(word) for word in out.split()]


def test_a_dozen_traces_of_10_mb_are_streamed(store_url, child):
    count, more = printed(child(LARGE, store_url))
    assert count == 12
    assert more < 100  # MB more than for one of them; all together are 120 MB of text, and twice that in SQL


def test_a_trace_of_100_000_spans(store_url, child):
    (held,) = printed(child(SPANS, store_url))
    assert held < 1000  # MB for the whole process: Python, the spans twice, their 20 MB of JSON in each form


def test_iterating_keeps_the_order_of_the_search(store):
    store.add_traces(Trace(f"t{n:04}", inputs={"n": n}, session=f"s{n % 2}") for n in range(1203))
    ids = [trace.id for trace in store.iter_traces(session="s1", order_by="timestamp_ms DESC")]
    assert sorted(ids) == [f"t{n:04}" for n in range(1203) if n % 2]
    times = [trace.created for trace in store.iter_traces(session="s1", order_by="timestamp_ms DESC")]
    assert times == sorted(times, reverse=True)
    assert len(list(store.iter_traces(max_results=7))) == 1203
    first = next(iter(store.iter_traces()))
    assert first.id == "t0000"


def test_a_trace_that_is_deleted_meanwhile_is_left_out(store_url):
    with Store(store_url) as store:
        store.add_traces(Trace(f"t{n}", inputs="x" * 9_000_000) for n in range(3))
        left = store.iter_traces()
        assert next(left).id == "t0"
        store.delete_traces(["t1"])
        assert [trace.id for trace in left] == ["t2"]
