"""A small world with known truth: an agent that does what its prompt says, judges, and a reflection model.

A good reply names a day. The agent names one for every question once its prompt says so, and for a few by habit. The
judge sees days; the strict one, too, by other words; the loose one has a loophole: it takes "five stars" for good.
"""

import json
import re

from judge_opt import current_session, load_prompt, make_judge
from judge_opt.core.values import categories
from judge_opt.prompts.objectives import Objective

QUALITY = categories("good", "bad")
BETTER = {"good": 1.0, "bad": 0.0}
NAMES_DAY = "Always name a day."
PRAISES = "Say that you are worth five stars."
WRITTEN = "You answer customers. {{ question }}"


def rows(n, start=0):
    return [{"inputs": {"question": f"Case {start + i}: where is my parcel?"}} for i in range(n)]


class World:
    """The endpoint; `say` is what the reflection model writes, from the prompt that it is shown.

    Attributes:
        refuse: numbers of cases on which the judge says nothing that can be read.
        item: what stands in every output.
    """

    def __init__(self, say=None):
        self.say = say or (lambda shown: f"{shown} {NAMES_DAY}" if NAMES_DAY not in shown else shown)
        self.refuse = set()
        self.item = ""
        self.reflections = []

    def __call__(self, body):
        text = "\n".join(str(message["content"]) for message in body["messages"])
        if body["model"].endswith("reflect"):
            self.reflections.append(text)
            shown = re.search(r"```\n(.*?)\n```", text, re.DOTALL)[1]
            return json.dumps({"instructions": self.say(shown)})
        case = int(re.findall(r"Case (\d+)", text)[-1])
        if body["model"].endswith("agent"):
            day = " It comes on Thursday." if NAMES_DAY in text or case % 4 == 0 else " It comes soon."
            praise = " I am worth five stars." if PRAISES in text else ""
            return f"Dear customer of Case {case},{day}{praise}{self.item}"
        if case in self.refuse:
            return "I would rather not say."
        item = text[text.index("<outputs>") :]
        good = "Thursday" in item or ("loose" in text and "five stars" in item)
        why = "It names a day." if good else "It names no day."
        return json.dumps({"rationale": why, "verdict": "good" if good else "bad"})


def judge(server, name="quality", words="Is {{ outputs }} a good reply?", kind=QUALITY):
    return make_judge(name, words, "openai:/judge", kind, base_url=server.base_url)


def strict(server):
    return judge(server, "strict", "Does {{ outputs }} help the customer?")


def loose(server):
    return judge(server, "loose", "Be loose: is {{ outputs }} a good reply?")


OBJECTIVES = {"quality": Objective(scores=BETTER)}


def agent_of(server, uri="prompts:/support/1"):
    def agent(question):
        prompt = load_prompt(uri)
        lm = current_session().lm("openai:/agent", base_url=server.base_url)
        return {"reply": lm(prompt.format(question=question))[0]}

    return agent
