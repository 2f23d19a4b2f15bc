"""Keys: written out by hand for speed, and equal to what their definition says."""

import json

import orjson
from dspy import lm15
from dspy._vendor.lm15.serde import request_to_dict
from hypothesis import given, settings
from hypothesis import strategies as st

from judge_opt.core.hashing import content_hash
from judge_opt.llm.direct import Asked, Drafts
from judge_opt.llm.keys import Addresses, repeat, rollout

FINGERPRINT = {"url": "http://h:80/é", "kind": "openai", "model": "any"}
TEXT = st.text(st.characters(), max_size=30)  # lone surrogates too
MESSAGES = st.one_of(
    st.builds(lm15.Message.user, TEXT),
    st.builds(lm15.Message.assistant, TEXT),
    st.builds(lm15.Message.developer, TEXT),
    st.just(lm15.Message.user([lm15.TextPart("a"), lm15.ImagePart(url="http://h/i.png")])),
    st.just(lm15.Message.assistant([lm15.ToolCallPart("1", "f", {"a": 1})])),
)
CONFIGS = st.builds(
    lm15.Config,
    temperature=st.one_of(st.none(), st.floats(0, 2)),
    max_tokens=st.one_of(st.none(), st.integers(1, 9)),
    seed=st.one_of(st.none(), st.integers(0, 9)),
    logprobs=st.one_of(st.none(), st.integers(0, 5)),
    stop=st.sampled_from([(), ("x",)]),
    response_format=st.one_of(
        st.none(), st.just({"type": "json_schema", "schema": {"properties": {"b": {}, "a": {}}}})
    ),
    extensions=st.one_of(st.none(), st.just({"min_p": 0.1}), st.just({"repeat": 4})),
)


def defined(request, extra, index, rollout_id):
    """The definition: the SHA-256 of the canonical JSON of the whole."""
    extensions = {**extra, **(request.config.extensions or {})}
    index = extensions.pop("repeat", index)
    asked = request_to_dict(request)
    asked.pop("model")
    config = asked.pop("config", {})
    config.pop("extensions", None)
    if extensions:
        config["extensions"] = extensions
    if config:
        asked["config"] = config
    try:
        written = orjson.dumps(asked).decode()
    except TypeError:
        written = json.dumps(asked)
    content = {"v": 1, "backend": FINGERPRINT, "request": written, "repeat": index}
    return content_hash(content if rollout_id is None else {**content, "rollout": rollout_id})


@given(
    st.lists(MESSAGES, min_size=1, max_size=3),
    st.one_of(st.none(), st.text(min_size=1, max_size=30)),
    CONFIGS,
    st.sampled_from([{}, {"top_a": 0.5}]),
    st.integers(0, 3),
    st.one_of(st.none(), st.integers(1, 3), st.just("é")),
)
@settings(max_examples=300, deadline=None)
def test_a_key_is_what_its_definition_says(messages, system, config, extra, index, rollout_id):
    request = lm15.Request("openai/any", tuple(messages), system, config=config)
    with repeat(index), rollout(rollout_id, 1):
        key, sent = Addresses(FINGERPRINT, extra).prepare(Asked(request))
    assert key == defined(request, extra, index, rollout_id)
    assert "repeat" not in (sent.request.config.extensions or {})


def test_a_key_of_an_earlier_version_is_still_found():
    """Written by the first version: what was bought with it is not bought again."""
    request = lm15.Request(
        "openai/any",
        (lm15.Message.user("q é"),),
        "be strict",
        config=lm15.Config(temperature=0.0, max_tokens=512, logprobs=20),
    )
    addresses = Addresses({"kind": "openai", "url": "http://h:80/v1", "model": "any"})
    assert addresses.prepare(Asked(request))[0] == GOLDEN
    settings = {"temperature": 0.0, "max_tokens": 512, "logprobs": True, "top_logprobs": 20}
    messages = [{"role": "system", "content": "be strict"}, {"role": "user", "content": "q é"}]
    plain = Drafts().asked("openai/any", messages, settings)
    assert plain.messages is not None
    assert addresses.prepare(plain)[0] == GOLDEN


GOLDEN = "27f53bc83459e4a1e6307c953b0c7272f82180cc018627692c6ed19eca97a4f8"
