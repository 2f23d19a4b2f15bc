"""Reading a reply: the judge's own last verdict, or a reason why there is none.

The reply is asked for as one JSON object. Judged text that a model echoes can hold objects of its own;
so every top-level object that carries a verdict is read, and where two of them disagree there is no
verdict: nobody can say which one is the judge's.
"""

import json
import math
from typing import Any

from judge_opt.core.results import Scored, Unscored, Value
from judge_opt.core.text import fold
from judge_opt.core.values import ValueType

VERDICT = "verdict"
RATIONALE = "rationale"
_DECODER = json.JSONDecoder(object_pairs_hook=list)
_REFUSALS = ("i cannot", "i can't", "i can not", "i'm sorry", "i am sorry", "i am unable", "i'm unable")


def read_reply(text: str | None, value_type: ValueType) -> Scored | Unscored:
    """The verdict and rationale in a model's reply.

    Args:
        text: the reply; None or white space is `Unscored("empty")`.
        value_type: what the verdict may be.
    """
    if text is None or not text.strip():
        return Unscored("empty", "the reply is empty", text)
    objects = [pairs for pairs in _objects(text) if any(key == VERDICT for key, _ in pairs)]
    if not objects:
        return _bare(text, value_type)
    read: list[tuple[Value, str | None]] = []
    for pairs in objects:
        verdicts = [value for key, value in pairs if key == VERDICT]
        try:
            values = {value_type.text_of(v): v for v in (value_type.read(_plain(raw)) for raw in verdicts)}
        except ValueError as error:
            return Unscored("out_of_set", str(error), text)
        if len(values) > 1:
            return Unscored("unparseable", "one object names two verdicts", text)
        rationales = [value for key, value in pairs if key == RATIONALE and isinstance(value, str)]
        read.append((next(iter(values.values())), rationales[-1] if rationales else None))
    if len({value_type.text_of(value) for value, _ in read}) > 1:
        return Unscored("unparseable", "the reply holds verdicts that disagree", text)
    value, rationale = read[-1]
    return Scored(value, rationale=rationale, raw=text)


def _objects(text: str) -> list[list[tuple[str, Any]]]:
    """Every top-level JSON object in `text`, as key-value pairs; text between them is passed over."""
    found, at = [], 0
    while (start := text.find("{", at)) >= 0:
        try:
            value, at = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            at = start + 1
            continue
        if isinstance(value, list):
            found.append(value)
    return found


def _plain(value: Any) -> Any:
    """A scalar as it is; anything nested is no verdict (pairs from the decoder are a list of tuples)."""
    return [] if isinstance(value, list) else value


def _bare(text: str, value_type: ValueType) -> Scored | Unscored:
    """A reply without an object is a verdict only where it is nothing but the verdict."""
    if value_type.kind != "text":
        try:
            return Scored(value_type.read(text), raw=text)
        except ValueError:
            pass
    if text.count("{") > text.count("}"):
        return Unscored("truncated", "the reply ends inside its object", text)
    if fold(text).startswith(_REFUSALS):
        return Unscored("refused", fold(text)[:80], text)
    return Unscored("unparseable", f"no verdict in {fold(text)[:80]!r}", text)


def label_probabilities(logprobs: Any, value_type: ValueType) -> dict[str, float] | None:
    """The distribution over labels at the verdict's place in a reply.

    Args:
        logprobs: as DSPy hands them on: `{"content": [{"token", "logprob", "top_logprobs": [...]}]}`. The
            embedded model gives one entry whose alternatives are whole labels; an endpoint gives a token
            stream, in which the verdict's first token is found and its alternatives' mass is added up by
            the one label that each begins.

    Returns:
        label to probability, summing to 1; None where there are no logprobs, or where less than half of
        the mass can be told apart.
    """
    content = (logprobs or {}).get("content") or []
    labels = value_type.choices()
    if not content or not labels:
        return None
    whole = {top["token"]: math.exp(top["logprob"]) for top in content[0].get("top_logprobs") or []}
    if len(content) == 1 and set(whole) == set(labels):
        total = sum(whole.values())
        return {label: whole[label] / total for label in labels}
    place = _verdict_place(content)
    if place is None:
        return None
    mass = dict.fromkeys(labels, 0.0)
    for top in content[place].get("top_logprobs") or []:
        start = fold(top["token"].strip().strip('"'))
        heirs = [label for label in labels if start and fold(label).startswith(start)]
        if len(heirs) == 1:
            mass[heirs[0]] += math.exp(top["logprob"])
    total = sum(mass.values())
    return {label: value / total for label, value in mass.items()} if total >= 0.5 else None


def _verdict_place(content: list[Any]) -> int | None:
    """Index of the token with the verdict's first letters: after the last `"verdict":`."""
    text, starts = "", []
    for token in content:
        starts.append(len(text))
        text += token["token"]
    mark = text.rfind(f'"{VERDICT}"')
    if mark < 0:
        return None
    at = text.find(":", mark + len(VERDICT) + 2) + 1
    while at < len(text) and text[at] in ' \n\t"':
        at += 1
    for index in range(len(starts) - 1, -1, -1):
        if starts[index] <= at and content[index]["token"].strip().strip('"'):
            return index
    return None
