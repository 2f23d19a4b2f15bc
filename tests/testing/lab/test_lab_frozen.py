"""Replies to fixed requests are the same bytes for ever: figures of one VERSION can be compared."""

import hashlib

import pytest
from lab_prompts import FORMS, content
from real_prompts import PROMPTS

from judge_opt.core.hashing import content_hash
from judge_opt.testing.lab import VERSION, LabServer, Parameters, World, WorldParameters

REPLIES = "c360a8e4c90e253d33b8817bc9d3a35ba7a107513951d5abf96c2122538a4d7a"
WORLDS = "430f83076b6c04b0b68066678c723b9a687bfdb4bbb081e68c320e82cb41938d"

BODIES = [
    *(
        {key: p[key] for key in ("model", "messages", "response_format") if key in p}
        for p in PROMPTS
        if p["arm"] != "mlflow.optimize_prompts"  # captured later
    ),
    *(
        {"model": "sim-judge", "messages": form(content(k)), "temperature": t, "logprobs": True}
        for form in FORMS
        for k, t in ((1, 0.0), (2, 1.0))
    ),
]


def replies(server, bodies):
    server._client.key = "one"
    return [server._answer(dict(body)).raw for body in bodies]


def test_replies_are_those_of_this_version():
    with LabServer(Parameters()) as server:
        made = replies(server, BODIES)
    assert VERSION == 1
    assert hashlib.sha256(b"".join(made)).hexdigest() == REPLIES


def test_worlds_are_those_of_this_version():
    worlds = [World(3), World(4, WorldParameters(labels=("poor", "fair", "good", "excellent"), raters=3))]
    made = [
        [
            [row.id, dict(row.fields), [[v.rater, v.value, v.rationale] for v in row.votes]]
            for row in (*world.examples(30), *world.held_out(30))
        ]
        + world.rules()
        for world in worlds
    ]
    assert content_hash(made) == WORLDS


@pytest.mark.parametrize("order", ["forwards", "backwards", "twice"])
def test_what_was_asked_before_changes_no_reply(order):
    """Parts of prompts are read once and remembered: that must not show."""
    some = BODIES[::3]
    with LabServer(Parameters()) as server:
        alone = replies(server, some)
    asked = {"forwards": some, "backwards": some[::-1], "twice": [*some, *some]}[order]
    with LabServer(Parameters()) as server:
        made = replies(server, asked)
    assert (made[::-1] if order == "backwards" else made[-len(some) :]) == alone
