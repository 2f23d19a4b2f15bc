"""A prompt with a model, and an agent behind an address, as targets."""

import json

import pytest
from prompt_world import BETTER, NAMES_DAY, OBJECTIVES, judge, rows, strict

from judge_opt import Guard, Objective, optimize_prompts, register_prompt
from judge_opt.core.errors import JudgeOptError, UsageError
from judge_opt.prompts import http_agent, prompted_agent
from judge_opt.testing.fault_server import FaultServer, Reply

TRAIN, VALID, TEST = rows(12), rows(16, 100), rows(24, 200)
CHAT = [{"role": "system", "content": "You answer."}, {"role": "user", "content": "{{ question }}"}]


def optimize(target, server, **more):
    return optimize_prompts(
        target, TRAIN, VALID, [judge(server)], test=TEST, objectives=OBJECTIVES,
        guard=Guard([strict(server)], {"strict": Objective(scores=BETTER)}),
        reflection_lm="openai:/reflect", patience=2, **more,
    )  # fmt: skip


@pytest.mark.parametrize("template", [CHAT, "You answer. {{ question }}"])
def test_a_prompt_alone(session, server, template):
    register_prompt("support", template)
    result = optimize(prompted_agent("prompts:/support/1", "openai:/agent", base_url=server.base_url), server)
    assert result.confirmed
    assert {line.purpose for line in result.ledger} == {"agent", "judge", "reflect"}
    assert NAMES_DAY in str(result.optimized_prompts[0].template)


class AgentServer(FaultServer):
    """An agent that takes its prompt from the request."""

    def received(self, record):
        with self._lock:
            self.requests.append(record)
            self._in_flight += 1
        told, inputs = record.body["prompts"]["support"], record.body["inputs"]
        day = "on Thursday" if NAMES_DAY in told else "soon"
        return Reply(raw=json.dumps({"outputs": {"reply": f"{inputs['question']} It comes {day}."}}).encode())


def test_an_agent_behind_an_address(session, server):
    register_prompt("support", "You answer. {{ question }}")
    with AgentServer() as remote:
        result = optimize(f"{remote.base_url}/agent", server, prompt_uris=["prompts:/support/1"])
    assert remote.requests[0].path == "/v1/agent"
    assert remote.requests[0].body["inputs"]["question"].startswith("Case")
    assert result.confirmed
    assert NAMES_DAY in result.optimized_prompts[0].template
    assert any("asks no model through this session" in one for one in result.warnings)


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply(status=500), "answered 500"),
        (Reply(raw=b"<html>"), "no JSON"),
        (Reply(raw=b"[1]"), "without outputs"),
    ],
)
def test_what_an_agent_behind_an_address_answers_wrongly_is_its_rows_failure(session, reply, says):
    register_prompt("support", "You answer.")
    with FaultServer() as remote:
        remote.received = lambda record: reply
        remote.answered = lambda: None
        agent = http_agent(f"{remote.base_url}/agent", ["support"])
        with pytest.raises(JudgeOptError, match=says):
            agent(question="?")


def test_what_is_no_target_is_said(session, server):
    with pytest.raises(UsageError, match="prompted_agent"):
        optimize("prompts:/support/1", server)
    with pytest.raises(UsageError, match="names of its prompts"):
        optimize("http://127.0.0.1:9/agent", server)
    with pytest.raises(UsageError):
        http_agent("ftp://x", ["support"])
    with pytest.raises(UsageError):
        prompted_agent("prompts:/a/b", "openai:/x")
