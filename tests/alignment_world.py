"""A small world with known truth: items, experts' labels, and an endpoint that judges them.

The experts say "good" where the reply names a date. The endpoint's own taste is politeness; it follows
the examples that it is shown when they are about the same thing, and a rule when it is told one.
"""

import json
import random
import re

from judge_opt.core.values import categories
from judge_opt.judges.make import make_judge
from judge_opt.labels.examples import LabelledExample, Vote
from judge_opt.testing.fault_server import Reply

LABELS = categories("good", "bad")
TOPICS = ["refund", "parcel", "login", "invoice", "coupon", "warranty", "address", "password"]
RULE = "A reply that names a day is good, one without a day is bad."


def rows(n, seed=0, noise=0.0):
    """`n` labelled examples, two to a group."""
    rng = random.Random(seed)
    made = []
    for i in range(n):
        dated, polite = rng.random() < 0.5, rng.random() < 0.5
        reply = f"About your {rng.choice(TOPICS)} number {seed}-{i}: "
        reply += "we will fix it on Thursday" if dated else "we will look into it at some point"
        reply += ", thank you so much for your patience." if polite else "."
        label = "good" if dated != (rng.random() < noise) else "bad"
        vote = Vote("ann", label, "It names a day." if dated else "No day is named.", f"a{i}")
        made.append(LabelledExample(f"r{seed}-{i:03}", f"g{seed}-{i // 2}", {"outputs": reply}, (vote,)))
    return made


def judge(server):
    return make_judge(
        "dated", "Is {{ outputs }} a good reply?", "openai:/sim", LABELS, base_url=server.base_url
    )


def verdict(text, probabilities=None):
    return json.dumps({"rationale": "Because.", "verdict": text})


def answer(body):
    """The endpoint: reflection where a JSON schema asks for rules, else a judgement."""
    schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema", {})
    if "same" in schema.get("properties", {}):
        return json.dumps({"same": [], "contradict": []})
    if "rules" in schema.get("properties", {}):
        return json.dumps({"rules": [RULE, "Polite words do not matter for the verdict at all here."]})
    system, *turns = [message["content"] for message in body["messages"]]
    item = turns[-1]
    dated = "Thursday" in item
    if RULE in system:
        return verdict("good" if dated else "bad")
    shown = [re.search(r'"verdict": "(\w+)"', t)[1] for t in turns[:-1] if '"verdict"' in t]
    if shown:
        return verdict(max(set(shown), key=shown.count))
    return verdict("good" if "thank" in item else "bad")


def perfect(body):
    schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema", {})
    if "same" in schema.get("properties", {}):
        return json.dumps({"same": [], "contradict": []})
    if "rules" in schema.get("properties", {}):
        return json.dumps({"rules": ["A reply with a question mark is always a bad reply to give."]})
    return verdict("good" if "Thursday" in body["messages"][-1]["content"] else "bad")


def embed(text):
    """Eight numbers: one for a date, one for politeness, the rest for the topic."""
    return [
        1.0 if "Thursday" in text else -1.0,
        0.6 if "thank" in text else -0.6,
        *[0.4 if topic in text else 0.0 for topic in TOPICS[:6]],
    ]


def failing(share, seed=0):
    """`answer`, but a share of the items (chosen by their text) never gets a verdict."""

    def sometimes(body):
        said = [m["content"] for m in body["messages"] if m["role"] == "user"]
        items = [text for text in said if text.startswith("<")]  # a repair's question comes after the item
        text = (items or said)[-1]
        if random.Random(f"{seed}{text}").random() < share and "rules" not in str(
            body.get("response_format")
        ):
            return Reply(text="I'd rather not say.")
        return answer(body)

    return sometimes
