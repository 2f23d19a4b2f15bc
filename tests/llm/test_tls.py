"""https on both roads: certificates are checked, deadlines hold, connections are kept."""

import asyncio
import shutil
import ssl
import subprocess
import time

import pytest
from dspy import lm15
from llm_helpers import lm_of, outcome

from judge_opt.core.errors import EndpointUnreachable
from judge_opt.llm import RetryPolicy, is_fatal
from judge_opt.testing.fault_server import FaultServer, Reply

QUESTION = [{"role": "user", "content": "q"}]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 that signs itself, made for this run."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "cert.pem",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


@pytest.fixture
def secure(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    with FaultServer(tls=context) as server:
        yield server


@pytest.fixture(params=["threads", "event loop"])
def ask(request):
    if request.param == "threads":
        return lambda lm, texts: [lm.ask([{"role": "user", "content": t}]).text for t in texts]

    async def some(lm, texts):
        return [(await lm.aask([{"role": "user", "content": t}])).text for t in texts]

    return lambda lm, texts: asyncio.run(some(lm, texts))


def test_calls_go_over_one_kept_connection(ask, make_session, secure, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    secure.answer = lambda body: body["messages"][0]["content"] * 5000
    texts = ["a", "b", "c"]
    assert ask(lm_of(make_session(), secure), texts) == [t * 5000 for t in texts]
    assert (secure.completions, secure.connections) == (3, 1)


def test_a_certificate_that_nobody_vouches_for_is_refused(ask, make_session, secure):
    lm = lm_of(make_session(), secure)
    caught = outcome(lambda: ask(lm, ["q"]))
    assert isinstance(caught, EndpointUnreachable)
    assert is_fatal(caught)
    assert "certificate" in caught.message
    assert "SSL_CERT_FILE" in caught.remedy
    assert secure.requests == []
    assert secure.connections <= 1


def test_a_slow_drip_ends_at_the_deadline(ask, make_session, secure, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    session = make_session(retry=RetryPolicy(attempts=1, timeout=1.5, deadline=60))
    secure.script(Reply(text="x" * 900, drip=0.05))
    began = time.monotonic()
    caught = outcome(lambda: ask(lm_of(session, secure), ["q"]))
    assert isinstance(caught, lm15.TimeoutError)
    assert 1.5 <= time.monotonic() - began < 30
