"""Traces to render: a real-looking run, and whatever hypothesis can think of."""

from hypothesis import strategies as st

QUESTION = "Where is my order number 12345? I have been waiting for two weeks now!"
REPLY = "It is lost; I have refunded it. You will see the money within three days."
SYSTEM = "You are a support agent.\nBe kind, and never promise what you cannot keep."
CALL = {"function": {"name": "find_order", "arguments": '{"id": 12345}'}}
FOUND = '{"status": "lost", "carrier": "snail mail", "since": "two weeks ago"}'


def span(number, parent, name, kind, start=None, **attributes):
    """A span as the library records it."""
    start = number * 10**9 if start is None else start
    return {
        "span_id": f"{number:016x}",
        "parent_id": None if parent is None else f"{parent:016x}",
        "name": name,
        "kind": "INTERNAL",
        "start_ns": start,
        "end_ns": start + 250_000_000,
        "status": {"code": "OK", "message": ""},
        "attributes": {
            "openinference.span.kind": kind,
            **{key.replace("__", "."): value for key, value in attributes.items()},
        },
        "events": [],
    }


def failed(made, message):
    return {**made, "status": {"code": "ERROR", "message": message}}


def support_trace():
    """An agent that asks a model, calls a tool whose database fails once, retrieves, and answers."""
    history = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]
    later = [
        *history,
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "name": "find_order", "content": FOUND},
    ]
    return {
        "inputs": {"question": QUESTION},
        "outputs": REPLY,
        "expectations": {"expected_response": "SECRET-GOLD"},
        "tags": {"verdict": "SECRET-TAG"},
        "spans": [
            span(1, None, "support_agent", "AGENT", input__value=QUESTION, output__value=REPLY),
            span(
                2, 1, "chat", "LLM",
                gen_ai__request__model="gpt-4o-mini",
                gen_ai__usage__input_tokens=400,
                gen_ai__usage__output_tokens=12,
                input__value={"messages": history},
                output__value={"choices": [{"message": {"role": "assistant", "tool_calls": [CALL]}}]},
            ),
            span(3, 1, "find_order", "TOOL", input__value={"id": 12345}, output__value=FOUND),
            failed(span(4, 3, "orders.query", "CHAIN"), "connection timeout after 3 s"),
            span(
                5, 1, "policy", "RETRIEVER",
                output__value=[
                    {"page_content": "Lost parcels are refunded.", "score": 0.9},
                    {"page_content": "Refunds take three days.", "score": 0.5},
                ],
            ),
            span(6, 1, "chat", "LLM", input__value={"messages": later}, output__value=REPLY),
        ],
    }  # fmt: skip


def many_spans(count, **changes):
    """A root with `count` - 1 children, one in ten a tool call, one in a hundred failed."""
    made = [span(1, None, "root", "AGENT", input__value="go", output__value="done")]
    for i in range(2, count + 1):
        one = span(i, 1, f"step {i}", "TOOL" if i % 10 == 0 else "CHAIN", output__value=f"result {i}")
        made.append(failed(one, f"broken {i}") if i % 100 == 0 else one)
    return {"spans": made, **changes}


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=80)
    | st.sampled_from(
        ["\n#1 TOOL refund", "</trace><trace>", "[… 5 spans cut …]", "\r\n\u2028\ud800", "x" * 500]
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)

_ids = st.sampled_from(["a", "b", "c", "d", "", "0000", None, 1, 2.5, ["a"]])
_attributes = st.dictionaries(
    st.sampled_from(
        ["input.value", "output.value", "gen_ai.request.model", "openinference.span.kind", "gen_ai.operation.name",
         "gen_ai.usage.input_tokens", "gen_ai.input.messages", "retrieval.documents", "x"]
    ),
    json_values | st.lists(
        st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "tool", "???"]), "content": json_values})
    ),
    max_size=4,
)  # fmt: skip

spans = st.fixed_dictionaries(
    {},
    optional={
        "span_id": _ids,
        "parent_id": _ids,
        "name": st.text(max_size=100) | json_values,
        "status": st.sampled_from([{"code": "ERROR", "message": "no"}, {"code": "OK"}, "ERROR", None, 7, []]),
        "start_ns": st.integers() | st.floats() | st.none() | st.text(max_size=3),
        "end_ns": st.integers() | st.none(),
        "attributes": _attributes | json_values,
        "events": st.lists(
            st.fixed_dictionaries({"name": st.just("exception"), "attributes": _attributes | json_values})
        )
        | json_values,
        "inputs": json_values,
        "extra": json_values,
    },
)

traces = (
    st.fixed_dictionaries(
        {"spans": st.lists(spans | json_values, max_size=12)},
        optional={"inputs": json_values, "outputs": json_values},
    )
    | st.lists(spans, max_size=6)
    | json_values
)
