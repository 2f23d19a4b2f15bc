"""Keys go to the configured origin only, and are nowhere afterwards; hostile addresses are refused."""

import pytest

from judge_opt.core.errors import CredentialsError, EndpointUnreachable, RequestRejected, UsageError
from judge_opt.llm.connection import AddressRefusedError, Origin, refuse_metadata
from judge_opt.testing.fault_server import Reply

CANARY = "sk-canary-5f2d9e"


def test_a_key_of_another_provider_is_not_sent(session, server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    session.lm("acme:/any", base_url=server.base_url)("q")
    assert "authorization" not in server.requests[0].headers
    monkeypatch.setenv("ACME_API_KEY", "acme-key")
    session.lm("acme:/any", base_url=server.base_url)("q2")
    assert server.requests[1].headers["authorization"] == "Bearer acme-key"


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "fe80::1%eth0", "::ffff:169.254.169.254", "fd00:ec2::254"]
)
def test_metadata_addresses_are_refused(address):
    with pytest.raises(AddressRefusedError):
        refuse_metadata(address)


def test_the_guard_is_on_the_path_of_every_connection(session, server, monkeypatch):
    """The name resolves to loopback here; the guard sees the address that was reached."""
    seen = []

    def guard(address):
        seen.append(address)
        raise AddressRefusedError(f"{address} is refused")

    monkeypatch.setattr("judge_opt.llm.connection.refuse_metadata", guard)
    with pytest.raises(RequestRejected):
        session.lm("openai:/any", base_url=server.base_url.replace("127.0.0.1", "localhost"))("q")
    assert seen
    assert server.requests == []


def test_ordinary_addresses_pass():
    for address in ("127.0.0.1", "::1", "10.1.2.3", "8.8.8.8"):
        refuse_metadata(address)


@pytest.mark.parametrize(
    "url",
    ["ftp://x", "http://", "x", "http://u:p@h/v1", "http://h/v1?key=1", "http://h:99999/", "file:///etc"],
)
def test_malformed_base_urls(url):
    with pytest.raises(UsageError) as caught:
        Origin(url)
    assert "u:p" not in str(caught.value)


def test_check(session, server):
    session.check("openai:/any", server.base_url)
    backend = session.backend("openai:/any", server.base_url)
    for status, kind in ((401, CredentialsError), (403, CredentialsError), (500, EndpointUnreachable)):
        server.models = Reply(status=status)
        with pytest.raises(kind) as caught:
            backend.check()
        assert caught.value.remedy
    assert "OPENAI_API_KEY" in str(CredentialsError("x", backend.env_keys[1]))
    server.models = Reply(status=404)
    backend.check()
    with pytest.raises(EndpointUnreachable, match=r"127\.0\.0\.1:9"):
        session.check("openai:/any", "http://127.0.0.1:9/v1")
    assert server.completions == 0
