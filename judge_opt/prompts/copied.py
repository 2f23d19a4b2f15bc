"""What a rewritten prompt has word for word from the rows that it was learned from.

The outputs and inputs of an agent are written by anybody, and a judge's reasons quote them. An instruction that stands
in one of them must not get into a prompt by way of a reflection model that was talked into it. A prompt has to hold
for items that are not shown, so it has no cause to quote one: a long run of words, or an address, that stands in a row
and not in the prompt before is refused, whoever wrote it.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from judge_opt.core.results import Scored
from judge_opt.core.text import fold
from judge_opt.prompts.board import Rollout

RUN = 8
"""Words in a row that are a quotation."""
_UNSPACED = 20
"""The same, of characters of a script that puts no blanks between words."""
_SCRIPT = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(r"\w+")
_UNBROKEN = re.compile(rf"[{_SCRIPT}]{{{_UNSPACED},}}")
_ADDRESS = re.compile(r"(?:https?://|www\.)[^\s\"'<>)\]]+|[\w.+-]+@[\w-]+\.[\w.-]+", re.IGNORECASE)


def quoted(text: str, before: str, rollouts: Sequence[Rollout]) -> str:
    """The first quotation in `text`, a rewriting of `before`, of what strangers wrote in the rows; "" for none.

    Expectations count as the experts' own: a prompt may take them over.
    """
    have = _runs(before)
    addresses = set(_addresses(before))
    written = [fold(one) for rollout in rollouts for one in _strangers(rollout)]
    found = {address for one in written for address in _addresses(one)}
    for address in _addresses(text):
        if address in found and address not in addresses:
            return address
    seen = {run for one in written for run in _runs(one)}
    return next((run for run in _runs(text) if run in seen and run not in have), "")


def _strangers(rollout: Rollout) -> Iterable[str]:
    yield from _texts(rollout.row.fields.get("inputs"))
    yield from _texts(rollout.ran.outputs)
    for said in rollout.said:
        if isinstance(said, Scored) and said.rationale:
            yield said.rationale


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif value is not None:
        yield json.dumps(value)


def _runs(text: str) -> dict[str, None]:
    """Every run of words that is long enough for a quotation, in order."""
    text = fold(text)
    words = _WORD.findall(text)
    found = dict.fromkeys(" ".join(words[i : i + RUN]) for i in range(len(words) - RUN + 1))
    for piece in _UNBROKEN.findall(text):
        found |= dict.fromkeys(piece[i : i + _UNSPACED] for i in range(len(piece) - _UNSPACED + 1))
    return found


def _addresses(text: str) -> list[str]:
    return [one.rstrip(".,;:!?").casefold() for one in _ADDRESS.findall(text)]
