"""Real prompts of every framework (`prompts.json.gz`), and what each says, taken out by its own format.

The parsers here know the frameworks, which the lab's readers must not; they are the truth for both.
`python -m benchmarks.rivals.capture` makes the prompts again.
"""

import ast
import gzip
import itertools
import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from judge_opt.testing.lab.grammar import sentences
from judge_opt.testing.lab.items import find_items

PROMPTS = json.loads(gzip.decompress(Path(__file__).with_name("prompts.json.gz").read_bytes()))
SCALES = {7001: ("fail", "pass"), 7002: ("poor", "fair", "good", "excellent")}


@dataclass
class Said:
    """What a prompt says of one item."""

    people: set[str] = field(default_factory=set)
    model: set[str] = field(default_factory=set)
    reasons: set[tuple[tuple[str, bool], ...]] = field(default_factory=set)
    scores: set[float] = field(default_factory=set)


def literals(text):
    return {one.literals for one in sentences(text or "")}


def plain(text):
    return " ".join(text.split())


def truth(prompt):
    """Item to `Said`; items of which nothing is said are there too."""
    said = defaultdict(Said)
    text = "\n".join(m["content"] for m in prompt["messages"])
    for item in find_items(text.replace("\\n", "\n")):
        said[item.text]
    scale = SCALES[prompt["world"]]
    for find in (
        _own_examples,
        _own_rows,
        _few_shot,
        _dicts,
        _objects,
        _demo_turns,
        _feedback,
        _trajectories,
    ):
        for item, people, model, why in find(prompt, text, scale):
            entry = said[plain(item)]
            entry.people |= {people} - {None}
            entry.model |= {model} - {None}
            entry.reasons |= literals(why)
    for item, number, why in _numbers(text):
        entry = said[plain(item)]
        entry.scores.add(round(2 * number - 1, 6))
        entry.reasons |= literals(why)
    return dict(said)


def rules(prompt):
    """The rules in what is not the model's own earlier words."""
    text = "\n\n".join(m["content"] for m in prompt["messages"] if m["role"] != "assistant")
    return {one.rule for one in sentences(text.replace("\\n", "\n")) if one.rule is not None}


# -- one format each: (item, people's label, model's label, reason that counts as people's) ----------------------

ITEM = r"Regarding your [^\n\"]+?"


def _own_examples(prompt, text, scale):
    if prompt["arm"].startswith("judge_opt") and prompt["model"] == "sim-judge":
        turns = prompt["messages"]
        for user, assistant in itertools.pairwise(turns):
            if assistant["role"] == "assistant":
                (item,) = find_items(user["content"])
                reply = json.loads(assistant["content"])
                yield item.text, reply["verdict"], None, reply.get("rationale")


def _own_rows(prompt, text, scale):
    if prompt["arm"].startswith("judge_opt") and prompt["model"] == "sim-reflect":
        said = r"EXPERTS: (\w+)(?: because: ([^\n]*))?((?:\n[A-Z][^\n]+)*)"
        pattern = rf"(?:outputs: |<outputs>\n)({ITEM})\n(?:</outputs>\n)?{said}"
        for item, label, why, rest in re.findall(pattern, text):
            models = re.findall(r"^[A-Z][^:\n]*: (\w+)\b", rest, re.MULTILINE)
            yield item, label, None, why
            for model in models:
                yield item, None, model, ""


def _few_shot(prompt, text, scale):
    """Plain fields on lines, in the two orders in which they come."""
    for item, why, label in re.findall(
        rf"(?:outputs|Response): ({ITEM})\n(?:[Rr]ationale: ([^\n]*)\n)?[Vv]erdict: (\w+)", text
    ):
        yield item, label, None, why
    for item, label, why in re.findall(rf"outputs: ({ITEM})\nresult: (\w+)\nrationale: ([^\n]*)", text):
        yield item, label, None, why


def _dicts(prompt, text, scale):
    """Python's own spelling of dicts."""
    for literal in re.findall(r"Example(?: \d+: |\()(\{.*?\})(?:\)|\n|$)", text):
        row = ast.literal_eval(literal)
        item = row.get("outputs") or row.get("response")
        yield item, row.get("result") or row.get("verdict"), None, row.get("rationale")


def _objects(prompt, text, scale):
    for label, why, item in re.findall(
        rf'"result": "(\w+)",\s+(?:"rationale": "([^\n]*)",\s+)?"inputs": "[^\n]*",\s+"outputs": "({ITEM})",',
        text,
    ):
        yield item, label, None, why
    for label, why, item in re.findall(
        rf'"id": \d+,\s+"result": "(\w+)",\s+(?:"rationale": "([^\n]*)",\s+)?"outputs": "({ITEM})",', text
    ):
        yield item, label, None, why


def _demo_turns(prompt, text, scale):
    if prompt["arm"].startswith("dspy"):
        turns = prompt["messages"]
        for user, assistant in itertools.pairwise(turns):
            if assistant["role"] == "assistant":
                (item,) = find_items(user["content"])
                fields = dict(re.findall(r"\[\[ ## (\w+) ## \]\]\n([^\n]*)", assistant["content"]))
                fields = fields or json.loads(assistant["content"])
                yield item.text, fields["verdict"].strip(), None, fields.get("rationale")


def _numbers(text):
    """(item, number from 0 to 1, reason) where records hold a bare number."""
    pattern = rf"\n## score\n([\d.]+)\n.*?\n## outputs\n({ITEM})\n.*?\n## rationales\n### \w+\n([^\n]*)\n"
    for number, item, why in re.findall(pattern, text, re.DOTALL):
        yield item, float(number), why


def _score(label, score, scale):
    if str(score).lower() in ("true", "1.0", "1"):
        return label
    return next(one for one in scale if one != label) if len(scale) == 2 else None


def _told(feedback):
    """(label, reason) in the words of our metric with feedback."""
    label = re.search(r"experts' verdict is (\w+)", feedback)
    why = re.search(r"experts' reason: (.*)", feedback)
    return label and label[1], why[1] if why else ""


def _feedback(prompt, text, scale):
    rows = re.search(r"\[\[ ## examples_with_feedback ## \]\]\n(\[\{.*\}\])\n", text)
    for row in json.loads(rows[1]) if rows else ():
        item = row["Inputs"].get("outputs") or row["Inputs"]["response"]
        made = row["Generated Outputs"]
        label = made.get("result") or made["verdict"]
        if score := re.search(r"score of (\w+(?:\.\d)?)", row["Feedback"]):
            yield item, _score(label, score[1], scale), label, ""
        else:
            told, why = _told(row["Feedback"])
            yield item, told, label, why


def _trajectories(prompt, text, scale):
    user = prompt["messages"][-1]["content"]
    if "[[ ## oracle_metadata ## ]]" not in user:
        return
    sections = dict(re.findall(r"\[\[ ## (\w+) ## \]\]\n(.*?)(?=\n\n\[\[ ##|\n\nRespond|$)", user, re.DOTALL))
    (item,) = find_items(sections["program_inputs"])
    oracle = json.loads(sections["oracle_metadata"])
    yield item.text, oracle.get("result") or oracle["verdict"], None, oracle.get("rationale")
    for side in ("worse", "better"):
        made = json.loads(sections[f"{side}_program_outputs"])
        label = made.get("result") or made.get("verdict")
        if label:
            yield item.text, None, label, ""
