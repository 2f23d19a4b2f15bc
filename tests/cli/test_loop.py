"""The loop of configs/loop.yaml as a user runs it: it waits for people, survives kill -9, and buys nothing twice."""

import json
import re
import shutil
import signal
from collections import Counter

import pytest
from cli_helpers import ROOT

from judge_opt.labels.queues import get_queue
from judge_opt.prompts.registered import load_prompt
from judge_opt.registry import Registry
from judge_opt.testing.fault_server import FaultServer
from judge_opt.traces.store import Store

RULE = "Answers that name a day are good, answers without one are not."
NAMES_DAY = "Always name a day."


def endpoint(body):
    """The agent does what its prompt says. The judge likes thanks until it has learned what experts look for."""
    schema = ((body.get("response_format") or {}).get("json_schema") or {}).get("schema") or {}
    wanted = schema.get("properties", {})
    text = "\n".join(message["content"] for message in body["messages"])
    if "rules" in wanted:
        return json.dumps({"rules": [RULE]})
    if "instructions" in wanted:
        shown = re.search(r"```\n(.*?)\n```", text, re.DOTALL)[1]
        return json.dumps({"instructions": f"{shown}\n{NAMES_DAY}"})
    if "verdict" not in wanted:
        number = int(re.findall(r"number (\d+)", text)[-1])
        day = " Friday." if NAMES_DAY in text or number % 3 == 0 else " Some day."
        return f"About number {number}:{day}" + (" Thank you." if number % 2 else "")
    item = [message["content"] for message in body["messages"] if message["role"] == "user"][-1]
    informed = (
        "know what to do" in text or RULE in text or any(m["role"] == "assistant" for m in body["messages"])
    )
    good = "Friday" in item if informed else "Thank" in item
    return json.dumps({"rationale": "Seen.", "verdict": 5 if good else 1})


def embed(text):
    return [1.0 if "Friday" in text else -1.0, 0.5 if "Thank" in text else -0.5, len(text) / 200]


@pytest.fixture
def server():
    with FaultServer(endpoint, embed=embed) as running:
        yield running


@pytest.fixture
def loop(judge_opt, tmp_path, server):
    """`loop(*options)`: the example configuration against the server."""
    shutil.copy(ROOT / "configs" / "loop.yaml", tmp_path)
    shutil.copytree(ROOT / "configs" / "loop", tmp_path / "loop")
    addresses = [
        word
        for key in ("agent", "judge", "prompts.guard")
        for word in ("--set", f"{key}.base_url={server.base_url}")
    ]

    def run(*options, **env):
        return judge_opt("loop", "loop.yaml", *addresses, "--json", *options, **env)

    return run


def label(home, queue, rate=lambda text: 5 if "Friday" in text else 1, most=1000):
    """A person at the queue."""
    with Store(home / "store.db") as store:
        asked, n = get_queue(queue, store=store), 0
        while n < most and (task := asked.next("ana")) is not None:
            good = rate(task.outputs)
            asked.submit(task, good, "It names a day." if good == 5 else "No day.")
            n += 1
    return n


def test_it_waits_for_people_and_ends_in_a_registered_judge_and_prompt(loop, server, tmp_path):
    home = tmp_path / ".judge_opt"
    dry = loop("--dry-run")
    assert dry.code == 0, dry.err
    assert [one["step"] for one in dry.json["steps"]] == ["run", "label", "align", "prompts", "register"]
    assert {one["state"] for one in dry.json["steps"]} == {"to do"}
    assert dry.json["steps"][0]["calls"] == 136
    assert dry.json["steps"][3]["calls"] == 2000
    assert server.completions == 0
    killed = loop(JUDGE_OPT_KILL_AT="llm.reply_received:40")  # amid the agent's answers
    assert killed.code == -signal.SIGKILL
    waits = loop()
    assert (waits.code, waits.json["stopped_at"], waits.json["labels_missing"]) == (12, "label", 68), (
        waits.err
    )
    queue = waits.json["queue"]
    assert f"judge-opt queue label {queue} --rater" in waits.json["label_with"]
    assert label(home, queue, most=10) == 10
    bought = server.completions
    still = loop()
    assert (still.code, still.json["labels_missing"]) == (12, 58)
    assert server.completions == bought
    assert label(home, queue) == 58
    points = ["experiment.aligned", "prompts.reflected"]
    for point in points:
        assert loop(JUDGE_OPT_KILL_AT=point).code == -signal.SIGKILL, point
    end = loop()
    assert end.code == 0, (end.err, end.out)
    assert {one["state"] for one in end.json["steps"]} == {"done"}
    registry = Registry(home / "store.db")
    assert NAMES_DAY in str(load_prompt("prompts:/support@production", registry=registry).template)
    assert NAMES_DAY not in str(load_prompt("prompts:/support/1", registry=registry).template)
    asked = Counter(json.dumps(request.body, sort_keys=True) for request in server.requests if request.body)
    again = sum(asked.values()) - len(asked)
    # 12 outputs are judged a second time on purpose (noise floor); else what was in flight, at concurrency 8
    assert again <= 12 + (1 + len(points)) * 8
    bought = server.completions
    once_more = loop()
    assert (once_more.code, server.completions) == (0, bought)


def test_a_judge_that_the_gate_refuses_rewrites_nothing(loop, server, tmp_path):
    waits = loop()
    label(tmp_path / ".judge_opt", waits.json["queue"], lambda text: 5 if "Thank" in text else 1)
    refused = loop()  # the untouched judge is right already
    assert (refused.code, refused.json["stopped_at"]) == (10, "align"), refused.err
    assert not any(
        "instructions" in json.dumps(one.body["response_format"])
        for one in server.requests
        if one.body and "response_format" in one.body
    )


def test_what_is_wrong_is_said_before_a_call(loop, server, tmp_path):
    few = loop("--set", "prompts.test=400")
    assert (few.code, "too few" in few.err) == (3, True)
    unknown = loop("--skip", "labels")
    assert (unknown.code, "no step" in unknown.err) == (2, True)
    key = loop("--set", "label.itms=3")
    assert (key.code, "Did you mean 'items'" in key.err) == (2, True)
    wrong = loop("--set", "agent.template=Answer {{ qestion }}")
    assert (wrong.code, "qestion" in wrong.err) == (2, True)
    assert server.completions == 0
