"""An endpoint that knows every hand-written case by its text, and answers as told: rightly, or always the same
unless it is shown what alignment learned."""

import json
from functools import lru_cache

from judge_opt.judges.builtin import BUILT_INS, builtin_cases, case_judge

RULE = "The people who wrote these cases look at what is literally asked and at nothing else."


def made(title, server, **options):
    return case_judge(title, **{"model": "openai:/any", "base_url": server.base_url, **options})


@lru_cache(maxsize=1)
def expected_by_text():
    """The item as the model reads it, to its right verdict."""
    known = {}
    for title in BUILT_INS:
        judge = case_judge(title, model="openai:/any")
        for case in builtin_cases(title):
            messages = judge.question(judge.parts(case.fields), (), (), 0).messages
            known[messages[0]["content"], messages[-1]["content"]] = case.expected
    return known


def verdict(text):
    return json.dumps({"rationale": "Looked it up.", "verdict": text})


def right(body):
    """The verdict of the case in a request, whatever else stands in its system message."""
    item = body["messages"][-1]["content"]
    system = body["messages"][0]["content"]
    for (plain, text), value in expected_by_text().items():
        if text == item and system.startswith(plain.rpartition("\n\nAnswer with")[0]):
            return value
    raise AssertionError(f"no case reads {item[:200]!r}")


def knows_all(body):
    return verdict(right(body))


def learns(constant):
    """`constant`, unless the rule or examples are shown."""

    def answer(body):
        schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema", {})
        if "rules" in schema.get("properties", {}):
            return json.dumps({"rules": [RULE]})
        shown = len(body["messages"]) > 2 or RULE in body["messages"][0]["content"]
        return verdict(right(body) if shown else constant)

    return answer
