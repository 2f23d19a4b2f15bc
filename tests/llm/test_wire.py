"""A body that is read without DSPy's types is stored as one that was read with them."""

import orjson
import pytest
from dspy._vendor.lm15.serde import response_to_dict
from hypothesis import given, settings
from hypothesis import strategies as st

from judge_opt.llm.reply import Reply
from judge_opt.llm.wire import NotACompletionError, _plain, _response, from_body

TEXT = st.one_of(st.just(""), st.text(st.characters(exclude_categories=("Cs",)), max_size=8))
COUNT = st.one_of(st.none(), st.integers(-1, 9), st.just(2.0), st.just("3"), st.just(True))


def some(**fields):
    return st.fixed_dictionaries({}, optional=fields)


USAGE = st.one_of(
    st.none(),
    some(
        prompt_tokens=COUNT,
        completion_tokens=COUNT,
        total_tokens=COUNT,
        prompt_tokens_details=st.one_of(st.none(), some(cached_tokens=COUNT, audio_tokens=COUNT)),
        completion_tokens_details=st.one_of(st.none(), some(reasoning_tokens=COUNT)),
    ),
    st.builds(
        lambda a, b, cached: {
            "prompt_tokens": a,
            "completion_tokens": b,
            "total_tokens": a + b,
            "prompt_tokens_details": {"cached_tokens": cached},
        },
        st.integers(0, 9),
        st.integers(0, 9),
        st.one_of(st.none(), st.integers(0, 9)),
    ),
)
MESSAGE = st.one_of(
    st.builds(lambda text: {"role": "assistant", "content": text, "refusal": None, "annotations": []}, TEXT),
    some(
        content=st.one_of(st.none(), TEXT, st.just([{"type": "text", "text": "x"}]), st.just(3)),
        refusal=st.one_of(st.none(), TEXT),
        reasoning_content=st.one_of(st.none(), TEXT),
        tool_calls=st.sampled_from([None, [], [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]]),
    ),
    st.none(),
)
LOGPROBS = st.sampled_from(
    [None, {"content": None}, {"content": []}, {"content": [{"token": "a", "logprob": -0.5}]}]
)
BODY = some(
    id=st.one_of(st.none(), TEXT, st.just(5)),
    model=st.one_of(st.none(), TEXT),
    usage=USAGE,
    choices=st.lists(
        some(
            message=MESSAGE,
            finish_reason=st.sampled_from([None, "stop", "length", "tool_calls", "odd"]),
            logprobs=LOGPROBS,
        ),
        max_size=2,
    ),
)


@given(BODY)
@settings(max_examples=500, deadline=None)
def test_both_ways_of_reading_store_the_same(body):
    plain = _plain(body, "asked")
    try:
        slow = _response(body, "asked", ())
    except (NotACompletionError, KeyError, TypeError, ValueError, AttributeError):
        assert plain is None
        return
    if plain is not None:
        assert plain == response_to_dict(slow)
        assert Reply(plain).response == slow
    for reply in (Reply.of(slow), Reply(response_to_dict(slow))):
        assert reply.text == (slow.text or "")
        assert reply.usage == slow.usage
        assert (reply.model, reply.finish_reason) == (slow.model, slow.finish_reason)
        assert list(reply.logprobs or ()) == list(slow.logprobs or ())


@pytest.mark.parametrize("details", [{}, {"prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0}}])
def test_what_openai_writes_is_read_plainly(details):
    message = {"role": "assistant", "content": "{}", "refusal": None, "annotations": []}
    body = {
        "id": "c",
        "object": "chat.completion",
        "model": "m-2026",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11, **details},
    }
    assert _plain(body, "m") is not None
    reply = from_body(orjson.dumps(body), "m")
    assert (reply.text, reply.model, reply.usage.input_tokens) == ("{}", "m-2026", 9)
    assert reply.usage.cache_read_tokens == (4 if details else None)
