"""Prompts that change nothing but the draw: one looks best where it was chosen, and no gain is confirmed."""

import hashlib
import json

import pytest
from prompt_world import BETTER, OBJECTIVES, World, agent_of, judge, rows, strict

from judge_opt import Guard, Objective, optimize_prompts, register_prompt
from judge_opt.testing.fault_server import FaultServer


class Draws(World):
    """An agent that draws its answer by lot for each prompt and case, and a reflection model that finds nothing."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def __call__(self, body):
        text = f"{self.number}" + "\n".join(str(message["content"]) for message in body["messages"])
        drawn = hashlib.sha256(f"{text}{body.get('seed')}".encode()).hexdigest()
        if body["model"].endswith("reflect"):
            return json.dumps({"instructions": f"You answer {drawn[:8]}. {{{{ question }}}}"})
        if body["model"].endswith("agent"):
            return "It comes on Thursday." if int(drawn, 16) % 2 else "It comes soon."
        return super().__call__(
            body | {"messages": [{"content": f"Case 1 {text[text.index('<outputs>') :]}"}]}
        )


@pytest.mark.parametrize("test", [rows(30, 200), None], ids=["test rows", "chosen by them"])
def test_luck_in_the_choice_is_no_gain(session, test):
    register_prompt("support", "You answer. {{ question }}")
    looked, chosen, confirmed = [], 0, 0
    for number in range(4):
        with FaultServer(Draws(number)) as server:
            result = optimize_prompts(
                agent_of(server), rows(16), rows(30, 100), [judge(server)], test=test, objectives=OBJECTIVES,
                guard=Guard([strict(server)], {"strict": Objective(scores=BETTER)}), repeats=1,
                reflection_lm="openai:/reflect", seed=number, proposals=12, patience=12,
            )  # fmt: skip
        chosen += result.changed
        confirmed += result.confirmed
        looked += [one.gain for one in result.candidates if one.chosen and one.gain]
    assert chosen >= 2  # luck was there to fool somebody
    assert sum(looked) / len(looked) > 0.05
    assert confirmed == 0  # 1 of 80 such runs was, when this was written
