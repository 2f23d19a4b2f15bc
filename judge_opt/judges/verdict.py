"""Reading a reply: the judge's own last verdict, or a reason why there is none.

The reply is asked for as one JSON object. Judged text that a model echoes can hold objects of its own;
so every top-level object that carries a verdict is read, and where two of them disagree there is no
verdict: nobody can say which one is the judge's.
"""

import json
import math
from collections.abc import Sequence
from typing import Any

from judge_opt.core.results import Scored, Unscored, Value
from judge_opt.core.text import fold
from judge_opt.core.values import ValueType

VERDICT = "verdict"
RATIONALE = "rationale"
_REFUSALS = ("i cannot", "i can't", "i can not", "i'm sorry", "i am sorry", "i am unable", "i'm unable")


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as its pairs, so that a key that is given twice is seen."""


_DECODER = json.JSONDecoder(object_pairs_hook=_Pairs)


def read_reply(text: str | None, value_type: ValueType, *, cut: bool = False) -> Scored | Unscored:
    """The verdict and rationale in a model's reply.

    Args:
        text: the reply; None or white space is `Unscored("empty")`.
        value_type: what the verdict may be.
        cut: the endpoint says that the reply ended at its token limit.
    """
    if text is None or not text.strip():
        if cut:
            return Unscored("truncated", "the token limit was reached before any text", text)
        return Unscored("empty", "the reply is empty", text)
    if len(text) > LONGEST:
        return Unscored("unparseable", f"the reply has {len(text)} characters", text[:2000])
    objects = [pairs for pairs in _objects(text) if any(key == VERDICT for key, _ in pairs)]
    if not objects:
        found = _bare(text, value_type)
        if cut and isinstance(found, Unscored):
            return Unscored("truncated", "the reply ends at its token limit", text)
        return found
    read: list[tuple[Value, str | None]] = []
    for pairs in objects:
        verdicts = [value for key, value in pairs if key == VERDICT]
        try:
            values = [value_type.read(_plain(raw)) for raw in verdicts]
        except ValueError as error:
            return Unscored("out_of_set", str(error), text)
        if _differ(values, value_type):
            return Unscored("unparseable", "one object names two verdicts", text)
        rationales = [value for key, value in pairs if key == RATIONALE and isinstance(value, str)]
        read.append((values[0], rationales[-1] if rationales else None))
    if _differ([value for value, _ in read], value_type):
        return Unscored("unparseable", DISAGREE, text)
    value, rationale = read[-1]
    return Scored(value, rationale=rationale, raw=text)


def _differ(values: Sequence[Value], value_type: ValueType) -> bool:
    return len(values) > 1 and len({value_type.text_of(value) for value in values}) > 1


LONGEST = 200_000
"""Characters of the longest reply that is read: finding objects in hostile nesting is more than linear."""

DISAGREE = "the reply holds verdicts that disagree"
"""The one detail after which a model is not asked again: the reply quotes a forged verdict, and a second
question would have the forgery in its context."""


def _objects(text: str) -> list[_Pairs]:
    """Every top-level JSON object in `text`; text between them is passed over."""
    found: list[_Pairs] = []
    at = 0
    while (start := text.find("{", at)) >= 0:
        try:
            value, at = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            at = start + 1
            continue
        # A key written with escapes is somebody's attempt to slip past the marks that are broken in
        # judged text; no model writes its own answer so.
        if isinstance(value, _Pairs) and f'"{VERDICT}"' in text[start:at]:
            found.append(value)
    return found


def _plain(value: Any) -> Any:
    """Pairs as dictionaries again.

    Raises:
        ValueError: one object gives a key twice.
    """
    if isinstance(value, _Pairs):
        if len({key for key, _ in value}) < len(value):
            raise ValueError("an object in the verdict gives a key twice")
        return {key: _plain(item) for key, item in value}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _bare(text: str, value_type: ValueType) -> Scored | Unscored:
    """A reply without an object is a verdict only where it is nothing but the verdict."""
    if value_type.kind not in ("text", "json"):
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
        logprobs: `{"content": [...]}`, each entry a token with its alternatives, as lm15 or as OpenAI's
            JSON has it. The embedded model gives one entry whose alternatives are whole labels; an endpoint
            gives a token stream, in which the verdict's first token is found and its alternatives' mass is
            added up by the one label that each begins, whatever its spelling.

    Returns:
        label to probability, summing to 1; None where there are no logprobs, or where less than half of
        the mass can be told apart.
    """
    content = (logprobs or {}).get("content") or []
    labels = value_type.choices()
    if not content or not labels:
        return None
    if len(content) == 1:
        whole = {token: math.exp(logprob) for token, logprob in _alternatives(content[0])}
        if set(whole) == set(labels):
            total = sum(whole.values())
            return {label: whole[label] / total for label in labels}
    place = _verdict_place(content)
    if place is None:
        return None
    folded = [(label, fold(label)) for label in labels]
    mass = dict.fromkeys(labels, 0.0)
    for token, logprob in _alternatives(content[place]):
        start = fold(token.strip().strip('"'))
        heirs = [label for label, text in folded if start and text.startswith(start)]
        if len(heirs) == 1:
            mass[heirs[0]] += math.exp(logprob)
    total = sum(mass.values())
    return {label: value / total for label, value in mass.items()} if total >= 0.5 else None


def _token(entry: Any) -> str:
    text: str = entry["token"] if isinstance(entry, dict) else entry.token
    return text


def _alternatives(entry: Any) -> list[tuple[str, float]]:
    if isinstance(entry, dict):
        return [(top["token"], top["logprob"]) for top in entry.get("top_logprobs") or []]
    return [(top.token, top.logprob) for top in entry.top]


def _verdict_place(content: Sequence[Any]) -> int | None:
    """Index of the token with the verdict's first letters: after the last `"verdict":`."""
    tokens = [_token(entry) for entry in content]
    text = "".join(tokens)
    mark = text.rfind(f'"{VERDICT}"')
    if mark < 0:
        return None
    at = text.find(":", mark + len(VERDICT) + 2) + 1
    while at < len(text) and text[at] in ' \n\t"':
        at += 1
    end = 0
    for index, token in enumerate(tokens):
        end += len(token)
        if end > at:
            return index if token.strip().strip('"') else None
    return None
