"""OTLP out and in, over real HTTP: our exporter, OpenTelemetry's own SDK, and clients that mean no good."""

import gzip
import http.client
import json
import signal
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from judge_opt.core.errors import DataError, JudgeOptError, UsageError
from judge_opt.traces import Store, Trace
from judge_opt.traces.fluent import (
    get_last_active_trace_id,
    get_trace,
    start_span,
    update_current_trace,
    use_store,
)
from judge_opt.traces.fluent import trace as traced
from judge_opt.traces.openinference import trace_of_spans
from judge_opt.traces.otlp import OTLPReceiver, export_otlp
from judge_opt.traces.otlp.assembly import SpanAssembler
from judge_opt.traces.otlp.wire import JSON_TYPE, PROTOBUF_TYPE, dump_request, inflate, load_request
from judge_opt.traces.otlp_json import otlp_request, spans_of_request

WAIT = 60.0


def wait_for(store, count, **conditions):
    """The traces, once there are `count` of them."""
    deadline = time.monotonic() + WAIT
    while True:
        found = list(store.iter_traces(**conditions))
        if len(found) >= count or time.monotonic() > deadline:
            return found
        time.sleep(0.02)


@pytest.fixture
def receiver(store):
    with OTLPReceiver(store, port=0, quiet_seconds=0.1) as running:
        yield running


def post(receiver, body, content_type=JSON_TYPE, path="/v1/traces", **headers):
    """(status, body) of one request."""
    parts = urlsplit(receiver.endpoint)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    sent = {"Content-Type": content_type, **{key.replace("_", "-"): value for key, value in headers.items()}}
    connection.request("POST", path, body, sent)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, data


def recorded_traces(path):
    with Store(path) as source, use_store(source):

        @traced(span_type="AGENT")
        def agent(question, k=2):
            update_current_trace(session="s1", tags={"env": "prod"}, metadata={"tokens": 12, "cost": 0.5})
            with start_span("llm", "LLM", kind="CLIENT") as span:
                span.set_inputs([{"role": "user", "content": question}])
                span.set_attribute("gen_ai.usage.input_tokens", 12)
                span.add_event("token", {"n": 1, "none": None, "nested": {"a": [1, "x", True]}})
                span.set_outputs("text")
            return {"response": None, "k": [k, 1.0]}

        @traced
        def fails(q):
            raise ValueError("no")

        agent("Größe?\x00")
        first = get_trace(get_last_active_trace_id())
        with pytest.raises(ValueError, match="no"):
            fails({"a": 1})
        second = get_trace(get_last_active_trace_id())
    return [
        first,
        second,
        Trace("by hand", inputs={"q": 1}, outputs="x", expectations={"a": "b"}, tags={"t": "true"}),
        Trace("tr-" + "a" * 32, inputs=[1], session="s", created=datetime(2020, 1, 1, 1, 1, 1, 123456, UTC)),
    ]


@pytest.mark.parametrize("protocol", ["protobuf", "json"])
@pytest.mark.parametrize("compress", [True, False])
def test_our_traces_arrive_equal(receiver, store, tmp_path, protocol, compress):
    traces = recorded_traces(tmp_path / "source.db")
    report = export_otlp(iter(traces), receiver.endpoint, protocol=protocol, compress=compress)
    assert (report.traces, report.spans, report.rejected) == (4, 5, 0)
    found = {trace.id: trace for trace in wait_for(store, 4)}
    assert found == {trace.id: trace for trace in traces}
    assert export_otlp(traces, receiver.endpoint, protocol=protocol).rejected == 0, "sent twice, known"
    receiver.flush()
    assert len(list(store.iter_traces())) == 4


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
NUMBER = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
NAMES = TEXT | st.sampled_from(
    [
        "input.value",
        "output.value",
        "input.mime_type",
        "openinference.span.kind",
        "gen_ai.operation.name",
        "metadata",
    ]
)
HEX = st.text("0123456789abcdef", min_size=16, max_size=16)
SPAN = st.fixed_dictionaries(
    {
        "name": TEXT,
        "kind": st.sampled_from(["INTERNAL", "CLIENT", "SERVER", "PRODUCER", "CONSUMER"]),
        "start_ns": st.integers(0, 2**62),
        "end_ns": st.none() | st.integers(1, 2**62),
        "status": st.fixed_dictionaries({"code": st.sampled_from(["UNSET", "OK", "ERROR"]), "message": TEXT}),
        "attributes": st.dictionaries(NAMES, JSON, max_size=4),
        "events": st.lists(
            st.fixed_dictionaries(
                {
                    "name": TEXT,
                    "time_ns": st.integers(0, 2**62),
                    "attributes": st.dictionaries(TEXT, JSON, max_size=2),
                }
            ),
            max_size=2,
        ),
    }
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    spans=st.lists(SPAN, max_size=4),
    ids=st.lists(HEX, min_size=4, max_size=4, unique=True),
    inputs=JSON,
    outputs=JSON,
    expectations=st.dictionaries(TEXT, JSON, max_size=2),
    metadata=st.dictionaries(TEXT, JSON, max_size=2),
    tags=st.dictionaries(TEXT.filter(bool), TEXT, max_size=2),
    session=st.none() | TEXT.filter(bool),
)
@pytest.mark.parametrize("content_type", [JSON_TYPE, PROTOBUF_TYPE])
def test_any_trace_comes_back_equal(
    content_type, spans, ids, inputs, outputs, expectations, metadata, tags, session
):
    spans = sorted(
        ({"span_id": span_id, "parent_id": None, **span} for span_id, span in zip(ids, spans, strict=False)),
        key=lambda span: (span["start_ns"], span["span_id"]),
    )
    for before, span in pairwise(spans):
        span["parent_id"] = before["span_id"]
    written = Trace(
        "tr-x",
        inputs=inputs,
        outputs=outputs,
        expectations=expectations,
        session=session,
        tags=tags,
        metadata=metadata,
        spans=tuple(spans),
    )
    request = load_request(dump_request(otlp_request([written]), content_type), content_type)
    arrived = list(spans_of_request(request))
    read = trace_of_spans(arrived[0][0], [span for _, span, _ in arrived], resource=arrived[0][2])
    assert read == written
    assert json.dumps(read.spans, sort_keys=True) == json.dumps(written.spans, sort_keys=True)


SDK = """
import json, sys
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=sys.argv[1] + "/v1/traces")))
tracer = provider.get_tracer("their.library", "1.2")
with tracer.start_as_current_span("POST /chat", kind=SpanKind.SERVER):
    with tracer.start_as_current_span("agent") as agent:
        agent.set_attribute("openinference.span.kind", "AGENT")
        agent.set_attribute("input.value", json.dumps({"question": "where?"}))
        agent.set_attribute("input.mime_type", "application/json")
        agent.set_attribute("output.value", "soon")
        agent.set_attribute("session.id", "s-7")
        with tracer.start_as_current_span("chat gpt", kind=SpanKind.CLIENT) as llm:
            llm.set_attribute("gen_ai.operation.name", "chat")
            llm.set_attribute("gen_ai.request.model", "gpt")
            llm.set_attribute("gen_ai.usage.input_tokens", 7)
            llm.set_attribute("gen_ai.input.messages", json.dumps([{"role": "user"}]))
            llm.set_attribute("stop", ["a", "b"])
            llm.add_event("token", {"n": 1})
        try:
            with tracer.start_as_current_span("tool"):
                raise ValueError("no parcel")
        except ValueError:
            pass
with tracer.start_as_current_span("alone"):
    pass
provider.force_flush()
provider.shutdown()
"""


def test_traces_of_the_opentelemetry_sdk(receiver, store, child):
    out, err = child(SDK, receiver.endpoint).communicate(timeout=120)
    assert "Failed to export" not in err, err
    found = {trace.name: trace for trace in wait_for(store, 2)}
    assert set(found) == {"POST /chat", "alone"}, out + err
    trace = found["POST /chat"]
    assert (trace.inputs, trace.outputs, trace.session) == ({"question": "where?"}, "soon", "s-7")
    assert trace.metadata["resource"]["service.name"] == "shop"
    spans = {span["name"]: span for span in trace.spans}
    assert spans["POST /chat"]["kind"] == "SERVER"
    assert spans["agent"]["parent_id"] == spans["POST /chat"]["span_id"]
    llm = spans["chat gpt"]
    assert (llm["kind"], llm["attributes"]["openinference.span.kind"]) == ("CLIENT", "LLM")
    assert llm["attributes"]["gen_ai.usage.input_tokens"] == 7
    assert llm["attributes"]["input.value"] == [{"role": "user"}]
    assert llm["attributes"]["stop"] == ["a", "b"]
    assert llm["events"][0]["name"] == "token"
    assert spans["tool"]["status"]["code"] == "ERROR"
    assert spans["tool"]["events"][0]["attributes"]["exception.message"] == "no parcel"
    assert [one.id for one in store.search_traces("span.type = 'LLM' AND session = 's-7'")] == [trace.id]


def one_span(trace="1" * 32, span="a" * 16, parent=None, end=2, **more):
    return {"traceId": trace, "spanId": span, "name": span, "startTimeUnixNano": "1", "endTimeUnixNano": str(end)} | (
        {"parentSpanId": parent} if parent else {}
    ) | more  # fmt: skip


def request_of(*spans):
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()


def test_spans_that_come_apart_twice_and_late(store):
    with OTLPReceiver(store, port=0, quiet_seconds=0.3, spool=None) as receiver:
        child_span = one_span(span="b" * 16, parent="a" * 16)
        assert post(receiver, request_of(child_span)) == (200, b"{}")
        assert post(receiver, request_of(child_span)) == (200, b"{}")
        assert post(receiver, request_of(one_span())) == (200, b"{}")
        [trace] = wait_for(store, 1)
        assert [span["span_id"] for span in trace.spans] == ["a" * 16, "b" * 16]
        status, body = post(receiver, request_of(child_span, one_span(span="c" * 16, parent="a" * 16)))
        assert status == 200
        assert json.loads(body)["partialSuccess"] == {
            "rejectedSpans": "1",
            "errorMessage": "1 span(s) came after their trace was complete and stored",
        }
        assert store.get_trace(trace.id).spans == trace.spans


def test_a_trace_without_its_root_is_stored_in_the_end(store):
    with OTLPReceiver(store, port=0, quiet_seconds=0.05, orphan_seconds=0.4, spool=None) as receiver:
        post(receiver, request_of(one_span(span="b" * 16, parent="a" * 16)))
        [trace] = wait_for(store, 1)
        assert trace.spans[0]["parent_id"] == "a" * 16


KILLED = """
import sys, os, signal, json, urllib.request
from pathlib import Path
from judge_opt.traces import Store
from judge_opt.traces.otlp import OTLPReceiver
spool = Path(sys.argv[2]) if sys.argv[2] else "beside"
receiver = OTLPReceiver(Store(sys.argv[1]), port=0, quiet_seconds=1000, spool=spool).__enter__()
span = {"traceId": "1" * 32, "spanId": "a" * 16, "name": "kept", "startTimeUnixNano": "1", "endTimeUnixNano": "2"}
body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
request = urllib.request.Request(receiver.endpoint + "/v1/traces", body, {"Content-Type": "application/json"})
assert urllib.request.urlopen(request).status == 200
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_acknowledged_survives_kill_9(store_url, tmp_path, child):
    """Beside a file there is a spool of itself; a server has none until it is given one."""
    given = tmp_path / "given.otlp-spool" if "://" in store_url else None
    spool = given or Path(f"{store_url}.otlp-spool")
    process = child(KILLED, store_url, str(given or ""))
    _, err = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, err
    with spool.open("ab") as stream:
        stream.write(b'[["2222')  # a torn line
    where = given or "beside"
    with Store(store_url) as store:
        assert list(store.iter_traces()) == []
        with OTLPReceiver(store, port=0, quiet_seconds=1000, spool=where) as receiver:
            assert receiver.assembler.held() == 1
            post(receiver, request_of(one_span(trace="3" * 32, parent="b" * 16)))
        assert [trace.name for trace in store.iter_traces()] == ["kept"]
        assert receiver.assembler.held() == 1, "what has not ended stays in the spool"
        with OTLPReceiver(store, port=0, spool=where) as receiver:
            assert receiver.flush() == 1
        assert len(list(store.iter_traces())) == 2
    assert spool.read_bytes() == b""


def test_too_many_spans_of_one_trace_are_rejected_and_counted(store):
    assembler = SpanAssembler(store, most_spans=2)
    spans = [
        span
        for _, span, _ in spans_of_request(
            json.loads(request_of(*(one_span(span=f"{n:016x}") for n in range(4))))
        )
    ]
    assert assembler.accept([("1" * 32, span, {}) for span in spans])[0] == 2
    assembler.store_complete(everything=True)
    [trace] = store.iter_traces()
    assert trace.metadata["judge_opt.truncated"] == {"spans_with_cuts": 0, "spans_dropped": 2}


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        (b"{}", {"Host": "evil.example:4318"}, 403, "does not name this machine"),
        (b"{}", {"path": "/v1/logs"}, 404, "there is only /v1/traces"),
        (b"{}", {"content_type": "text/plain"}, 415, "send application/x-protobuf"),
        (b"{}", {"Content_Encoding": "br"}, 415, "send gzip"),
        (b"x" * 5000, {}, 413, "at most 4000 bytes"),
        (b"no json", {}, 400, "no JSON"),
        (b"[]", {}, 400, "no JSON object"),
        (b'{"resourceSpans": 3}', {}, 400, "resourceSpans is not a list"),
        (request_of({"name": "x"}), {}, 400, "no id of 8 bytes"),
        (
            request_of(one_span(attributes=[{"key": "a", "value": {"intValue": "x"}}])),
            {},
            400,
            "no OTLP trace",
        ),
        (b"\xff\xff\xff", {"content_type": PROTOBUF_TYPE}, 400, "no OTLP trace request"),
        (b"not gzip", {"Content_Encoding": "gzip"}, 400, "no gzip"),
        (gzip.compress(b" " * 1_000_000, mtime=0), {"Content_Encoding": "gzip"}, 400, "more than 4000 bytes"),
        (gzip.compress(b"{}", mtime=0)[:-9], {"Content_Encoding": "gzip"}, 400, "cut off"),
    ],
)
def test_what_is_refused(store, body, headers, status, words):
    with OTLPReceiver(store, port=0, largest_body=4000, spool=None) as receiver:
        got, answer = post(receiver, body, **headers)
        assert (got, words in answer.decode("utf-8", "replace")) == (status, True), answer
        assert receiver.assembler.held() == 0
        assert post(receiver, request_of(one_span()))[0] == 200, "it goes on"


def test_beyond_loopback_a_key_is_required(store):
    with pytest.raises(UsageError, match=r"there is no key. Set JUDGE_OPT_OTLP_KEY"):
        OTLPReceiver(store, "0.0.0.0", 0)
    with OTLPReceiver(store, port=0, key="sesame", spool=None) as receiver:
        assert post(receiver, b"{}")[0] == 401
        assert post(receiver, b"{}", Authorization="Bearer sesame")[0] == 200
        with pytest.raises(JudgeOptError, match=r"refused the traces with 401: .*the key is not"):
            export_otlp([Trace("a")], receiver.endpoint, protocol="json")
        assert (
            export_otlp([Trace("a")], receiver.endpoint, headers={"Authorization": "Bearer sesame"}).traces
            == 1
        )


def test_an_endpoint_that_is_wrong_or_not_there(store):
    with OTLPReceiver(store, port=0) as receiver:
        endpoint = receiver.endpoint
        with pytest.raises(JudgeOptError, match=r"refused the traces with 404"):
            export_otlp([Trace("a")], endpoint + "/other")
        with pytest.raises(UsageError, match=r"cannot be served"):
            OTLPReceiver(store, port=int(endpoint.rsplit(":", 1)[1]))
    with pytest.raises(JudgeOptError, match=r"No OTLP endpoint answers at"):
        export_otlp([Trace("a")], endpoint)
    for wrong in ("127.0.0.1:4318", "file:///etc/passwd", "http://"):
        with pytest.raises(UsageError, match=r"is no OTLP endpoint"):
            export_otlp([Trace("a")], wrong)
    assert export_otlp([], endpoint).traces == 0


def test_a_bomb_is_not_unpacked():
    with pytest.raises(DataError, match=r"more than 1000 bytes"):
        inflate(gzip.compress(b"\0" * 50_000_000), 1000)
    assert inflate(gzip.compress(b"abc"), 3) == b"abc"
