"""What the tests of the engine share."""

import json

import pytest

from judge_opt.testing.fault_server import Reply

ATTEMPTS = 4


def lm_of(session, server, **options):
    return session.lm("openai:/any", base_url=server.base_url, **options)


def error(status, message, code=None):
    return Reply(status=status, raw=json.dumps({"error": {"message": message, "code": code}}).encode())


def outcome(call):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the tests look at it
        call()
    return caught.value
