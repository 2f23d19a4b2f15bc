"""The served model is the model: the same verdict and the same probabilities as in this process."""

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dspy import lm15

from judge_opt.core.errors import UsageError
from judge_opt.llm.local import LocalBackend
from judge_opt.llm.serve import LARGEST_BODY, ModelServer
from judge_opt.llm.serve_format import BadRequestError, to_request
from judge_opt.llm.session import Session, use_session

LABELS = ["bad", "good"]
SCHEMA = {
    "type": "object",
    "properties": {"verdict": {"type": "string", "enum": LABELS}},
    "required": ["verdict"],
}
BODY: dict[str, Any] = {
    "model": "smollm2",
    "messages": [
        {"role": "system", "content": "Is the reply polite? Answer good or bad."},
        {"role": "user", "content": "Thank you so much, have a lovely day."},
    ],
    "response_format": {"type": "json_schema", "json_schema": {"name": "v", "schema": SCHEMA}},
    "temperature": 0,
    "logprobs": True,
    "top_logprobs": 5,
    "seed": 1,
}


@pytest.fixture(scope="module")
def served() -> Iterator[ModelServer]:
    with ModelServer("smollm2", port=0, key="") as server:
        yield server


def post(
    server: ModelServer, body: Any, path: str = "/v1/chat/completions", **headers: str
) -> tuple[int, dict[str, Any]]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return send(server, "POST", path, data, {"Content-Type": "application/json", **headers})


def send(
    server: ModelServer, method: str, path: str, data: bytes | None, headers: dict[str, str]
) -> tuple[int, dict[str, Any]]:
    address = server.base_url.split("//")[1].split("/")[0]
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.request(method, path, data, headers)
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()


@pytest.mark.local_model
def test_the_answer_is_the_one_of_this_process(served: ModelServer) -> None:
    status, answer = post(served, BODY)
    assert status == 200
    own = LocalBackend("smollm2").complete(to_request(BODY, "smollm2"))
    choice = answer["choices"][0]
    assert json.loads(choice["message"]["content"]) == json.loads(own.text or "")
    token = choice["logprobs"]["content"][0]
    assert own.logprobs is not None
    assert {t["token"]: t["logprob"] for t in token["top_logprobs"]} == {
        t.token: t.logprob for t in own.logprobs[0].top
    }
    assert answer["usage"]["prompt_tokens"] == own.usage.input_tokens
    assert answer["usage"]["completion_tokens"] == own.usage.output_tokens


@pytest.mark.local_model
def test_a_judge_over_http_is_the_judge_in_process(served: ModelServer, tmp_path: Path) -> None:
    from judge_opt.core.values import ordered
    from judge_opt.judges.make import make_judge

    item = {"outputs": {"reply": "We cannot help you. Read the manual."}}
    with Session(tmp_path) as session, use_session(session):
        said = [
            make_judge(
                "tone",
                "Is {{ outputs.reply }} polite?",
                model,
                ordered("bad", "fair", "good"),
                base_url=base_url,
                generate_rationale_first=False,
            ).judge_item(item)
            for model, base_url in (("local:/smollm2", None), ("openai:/smollm2", served.base_url))
        ]
    assert said[0].error is None
    assert said[0].value == said[1].value
    assert said[0].probabilities == pytest.approx(said[1].probabilities, abs=1e-12)


@pytest.mark.local_model
def test_openais_own_client_understands_it(served: ModelServer) -> None:
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=served.base_url, api_key="none") as client:
        assert [model.id for model in client.models.list()] == ["smollm2"]
        answer = client.chat.completions.create(**BODY)
    assert json.loads(answer.choices[0].message.content)["verdict"] in LABELS
    assert {t.token for t in answer.choices[0].logprobs.content[0].top_logprobs} == set(LABELS)


@pytest.mark.local_model
def test_free_text_is_cut_at_max_tokens(served: ModelServer) -> None:
    story = [{"role": "user", "content": "Tell me a long story about the sea."}]
    body = {**BODY, "messages": story, "max_tokens": 6, "temperature": 1.0, "logprobs": False}
    del body["response_format"]
    _, answer = post(served, body)
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 6
    assert answer["choices"][0]["logprobs"] is None


@pytest.mark.local_model
@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({"model": "gpt-4o"}, 404, "not served"),
        ({"stream": True}, 400, "stream"),
        ({"n": 2}, 400, "ask several times"),
        ({"tools": [{}]}, 400, "tools"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, "text content"),
        ({"temperature": "hot"}, 400, "temperature"),
        ({"response_format": {"type": "grammar"}}, 400, "response_format"),
        ({"messages": [{"role": "user", "content": "word " * 9000}]}, 400, "do not fit"),
    ],
)
def test_what_is_not_served_is_refused(
    change: dict[str, Any], status: int, says: str, served: ModelServer
) -> None:
    found, answer = post(served, {**BODY, **change})
    assert found == status
    assert says in answer["error"]["message"]


@pytest.mark.local_model
def test_other_pages_and_hosts_get_nothing(served: ModelServer) -> None:
    assert post(served, BODY, Host="attacker.example")[0] == 403
    assert post(served, BODY, **{"Content-Type": "text/plain"})[0] == 415
    assert post(served, b"{nothing")[0] == 400
    assert post(served, BODY, "/v1/other")[0] == 404
    assert send(served, "GET", "/", None, {})[0] == 404


@pytest.mark.local_model
def test_a_body_over_the_limit_is_refused_unread(served: ModelServer) -> None:
    host, port = served.base_url.split("//")[1].split("/")[0].split(":")
    with socket.create_connection((host, int(port)), timeout=10) as wire:
        wire.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            + f"Content-Length: {LARGEST_BODY + 1}\r\n\r\n".encode()
        )
        assert b" 413 " in wire.recv(1000)


@pytest.mark.local_model
def test_a_key_is_asked_for_where_there_is_one() -> None:
    with ModelServer("smollm2", port=0, key="secret") as server:
        assert send(server, "GET", "/v1/models", None, {})[0] == 401
        assert send(server, "GET", "/v1/models", None, {"Authorization": "Bearer secret"})[0] == 200


def test_it_is_not_opened_to_other_machines_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUDGE_OPT_SERVE_KEY", raising=False)
    with pytest.raises(UsageError, match="no key"):
        ModelServer("smollm2", host="0.0.0.0", port=0)


def test_a_body_becomes_the_request_that_a_judge_makes() -> None:
    request = to_request(BODY, "smollm2")
    assert request.system == BODY["messages"][0]["content"]
    assert [message.text for message in request.messages] == [BODY["messages"][1]["content"]]
    assert request.config == lm15.Config(
        temperature=0,
        seed=1,
        logprobs=5,
        response_format={"type": "json_schema", "name": "v", "schema": SCHEMA},
    )


@pytest.mark.parametrize("body", [None, [], "x", {}, {"model": "smollm2", "messages": [None]}])
def test_what_is_no_request_is_refused(body: Any) -> None:
    with pytest.raises(BadRequestError):
        to_request(body, "smollm2")
