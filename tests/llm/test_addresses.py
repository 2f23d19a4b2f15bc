"""gateway:/, endpoints:/ and openai-compatible:/ lead where the environment says."""

import pytest

from judge_opt.core.errors import UsageError
from judge_opt.llm.uri import ModelURI, endpoint_of

VARIABLES = (
    "JUDGE_OPT_GATEWAY_URL", "JUDGE_OPT_ENDPOINTS_URL", "JUDGE_OPT_BASE_URL", "MLFLOW_GATEWAY_URI",
    "MLFLOW_TRACKING_URI", "MLFLOW_DEPLOYMENTS_TARGET",
)  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("uri", "environment", "address"),
    [
        ("gateway:/x", {"JUDGE_OPT_GATEWAY_URL": "http://h/v1/"}, "http://h/v1"),
        ("gateway:/x", {"MLFLOW_GATEWAY_URI": "http://h:5000"}, "http://h:5000/gateway/mlflow/v1"),
        ("gateway:/x", {"MLFLOW_TRACKING_URI": "https://h/"}, "https://h/gateway/mlflow/v1"),
        (
            "gateway:/x",
            {"MLFLOW_TRACKING_URI": "http://t", "JUDGE_OPT_GATEWAY_URL": "http://g/v1"},
            "http://g/v1",
        ),
        ("endpoints:/x", {"JUDGE_OPT_ENDPOINTS_URL": "http://h/v1"}, "http://h/v1"),
        ("endpoints:/x", {"MLFLOW_DEPLOYMENTS_TARGET": "http://h:7000"}, "http://h:7000/v1"),
        ("openai-compatible:/x", {"JUDGE_OPT_BASE_URL": "http://h/v1"}, "http://h/v1"),
        ("openai:/x", {"JUDGE_OPT_BASE_URL": "http://h/v1"}, None),
    ],
)
def test_where_an_address_comes_from(uri, environment, address, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert endpoint_of(ModelURI.parse(uri), None) == address
    assert endpoint_of(ModelURI.parse(uri), "http://given/v1") == "http://given/v1"


@pytest.mark.parametrize(
    ("uri", "variable", "environment"),
    [
        ("gateway:/x", "JUDGE_OPT_GATEWAY_URL", {}),
        ("gateway:/x", "JUDGE_OPT_GATEWAY_URL", {"MLFLOW_TRACKING_URI": "sqlite:///m.db"}),
        ("endpoints:/x", "JUDGE_OPT_ENDPOINTS_URL", {"MLFLOW_DEPLOYMENTS_TARGET": "databricks"}),
        ("openai-compatible:/x", "JUDGE_OPT_BASE_URL", {}),
    ],
)
def test_an_address_that_is_nowhere_is_a_usage_error(uri, variable, environment, monkeypatch, session):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for build in (session.lm, session.engine, session.backend, session.embedder, session.check):
        with pytest.raises(UsageError) as caught:
            build(uri)
        assert variable in caught.value.remedy


def test_all_calls_go_there_under_the_models_own_name(session, server, monkeypatch):
    monkeypatch.setenv("JUDGE_OPT_GATEWAY_URL", server.base_url)
    monkeypatch.setenv("GATEWAY_API_KEY", "gateway-key")
    lm = session.lm("gateway:/chat")
    assert lm.ask([{"role": "user", "content": "q"}]).text == "ok"
    assert session.embedder("gateway:/words").embed(["a"]).shape == (1, 8)
    assert [r.body["model"] for r in server.requests] == ["chat", "words"]
    assert {r.headers["authorization"] for r in server.requests} == {"Bearer gateway-key"}
    session.lm("openai:/chat", base_url=server.base_url).ask([{"role": "user", "content": "q"}])
    assert server.completions == 1  # the same model at the same address: the same question
    monkeypatch.setenv("JUDGE_OPT_GATEWAY_URL", server.base_url + "/elsewhere")
    assert session.lm("gateway:/chat") is not lm
