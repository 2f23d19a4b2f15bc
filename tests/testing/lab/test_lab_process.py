"""The lab's server in a process of its own, and what it counts for each client."""

import json
import urllib.request

from lab_prompts import chat, content

from judge_opt.testing.lab import LabProcess, LabServer, Parameters, World


def post(url, path, key, **body):
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    request = urllib.request.Request(url + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.load(reply)


def said(reply):
    return reply["choices"][0]["message"]["content"]


def test_a_process_replies_as_a_server_here_does_and_counts_by_key():
    world = World(3)
    parameters = Parameters(seed=5, judge=world.perfect(), fresh_repeats=True)
    asked = [{"model": "sim-judge", "messages": chat(content(n)), "temperature": 1.0} for n in range(4)]
    with LabProcess(parameters) as process, LabServer(parameters) as server:
        there = [post(process.base_url, "/chat/completions", "a", **body) for body in asked]
        here = [post(server.base_url, "/chat/completions", "a", **body) for body in asked]
        post(process.base_url, "/embeddings", "b", model="sim-embed", input=["one", "two"])
        counted = process.usage("a")["sim-judge"]
        assert process.usage("b")["sim-embed"]["calls"] == 1
        assert process.usage("c") == {}
        assert server.usage("a") == process.usage("a")
    assert there == here
    assert counted["calls"] == 4
    assert counted["prompt_tokens"] == sum(one["usage"]["prompt_tokens"] for one in there)
    assert counted["completion_tokens"] == sum(one["usage"]["completion_tokens"] for one in there)


def test_one_clients_repeats_do_not_change_anothers_replies():
    body = {"model": "sim-judge", "messages": chat(content(4)), "temperature": 3.0}
    with LabServer(Parameters(fresh_repeats=True)) as server:
        one = [said(post(server.base_url, "/chat/completions", "a", **body)) for _ in range(20)]
        other = [said(post(server.base_url, "/chat/completions", "b", **body)) for _ in range(20)]
    assert one == other
    assert len(set(one)) > 1


def test_the_process_ends_with_its_context():
    with LabProcess() as process:
        child = process._child
    assert child.poll() == 0


def test_rules_tell_the_records_that_they_come_from():
    rows = World(3).examples(30)
    shown = "\n".join(
        json.dumps({"id": 100 + k, "reply": r.fields["outputs"], "label": r.gold, "why": r.rationale})
        for k, r in enumerate(rows)
    )
    form = '{"rules": [{"text": str, "source_ids": list[int]}, ...]}'
    ask = f"{shown}\n\nLabels: pass or fail. Write rules as JSON: {form}"
    with LabServer() as server:
        messages = [{"role": "user", "content": ask}]
        reply = said(post(server.base_url, "/chat/completions", "a", model="sim-reflect", messages=messages))
    told = [rule["source_ids"] for rule in json.loads(reply)["rules"]]
    assert len(told) > 2
    assert all(ids and set(ids) <= set(range(100, 130)) for ids in told)
    assert len({tuple(ids) for ids in told}) > 1
