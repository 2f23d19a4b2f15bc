"""Distillation: a reflection LM reads labelled rows and writes guidelines."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from dspy.lm15 import Config, Message, Request

from judge_opt.core.results import Judgement, Scored
from judge_opt.core.text import encodable, fold, printable
from judge_opt.core.values import ValueType
from judge_opt.judges.rendering import value_text
from judge_opt.llm.errors import is_fatal
from judge_opt.memory.episodic import Episode
from judge_opt.memory.guidelines import MAX_CHARS, Guideline

_SLOT = re.compile(r"\[\[(\w+)\]\]")
_MARKUP = re.compile(
    r"</?\s*(inputs|outputs|expectations|trace|conversation)|\{\{|\}\}|\[\[ ##", re.IGNORECASE
)
_CHARS_PER_ROW = 900


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled row with what the untouched judge said of it."""

    episode: Episode
    judged: Judgement


def distil(
    lm: Any, task: str, value_type: ValueType, rows: Sequence[Row], *, limit: int, max_chars: int, seed: int
) -> tuple[list[Guideline], list[str]]:
    """One reflection call on one batch of rows.

    Args:
        lm: the reflection `dspy.LM`.
        task: the judge's instructions as the model reads them.
        limit: guidelines asked for.
        max_chars: of rows in the prompt; rows that do not fit are left out, disagreements first kept.

    Returns:
        the guidelines that pass the checks (at most `limit`), and a warning for each thing dropped.

    Raises:
        JudgeOptError: the endpoint cannot be used at all.
    """
    chosen, size = [], 0
    for row in balanced(rows):
        text = _row_text(row, value_type)
        if size + len(text) > max_chars:
            break
        chosen.append((row, text))
        size += len(text)
    prompt = _fill(
        {
            "task": task,
            "labels": value_type.describe(),
            "limit": str(limit),
            "rows": "\n\n".join(text for _, text in chosen),
        }
    )
    try:
        response = lm(
            Request(
                model=lm.model,
                messages=(Message.user(encodable(prompt)),),
                config=Config(
                    max_tokens=100 * limit + 200,
                    temperature=lm.kwargs.get("temperature"),
                    seed=seed,
                    response_format={
                        "type": "json_schema",
                        "name": "rules",
                        "schema": _schema(limit),
                        "strict": True,
                    },
                ),
            )
        )
    except Exception as error:
        if is_fatal(error):
            raise
        return [], [
            f"a distillation call failed ({str(error)[:120]}): no guidelines from its {len(chosen)} rows"
        ]
    return _read(response.message.text or "", tuple(row.episode.id for row, _ in chosen), limit)


def balanced(rows: Sequence[Row]) -> list[Row]:
    """Two rows that the judge got wrong for each that it got right, as long as both last; a row with an
    expert's reason comes before one without."""
    wrong = [r for r in rows if not (isinstance(r.judged, Scored) and r.judged.value == r.episode.gold)]
    right = [r for r in rows if r not in wrong]
    for side in (wrong, right):
        side.sort(key=lambda r: (r.episode.rationale is None, r.episode.id))
    out: list[Row] = []
    while wrong or right:
        out += wrong[:2] + right[:1]
        wrong, right = wrong[2:], right[1:]
    return out


def _row_text(row: Row, value_type: ValueType) -> str:
    parts = [f"{name}: {value_text(value)[:_CHARS_PER_ROW]}" for name, value in row.episode.parts.items()]
    why = f" because: {row.episode.rationale[:300]}" if row.episode.rationale else ""
    parts.append(f"EXPERTS: {value_type.text_of(row.episode.gold)}{why}")
    if isinstance(row.judged, Scored):
        reason = f" because: {row.judged.rationale[:300]}" if row.judged.rationale else ""
        parts.append(f"JUDGE: {value_type.text_of(row.judged.value)}{reason}")
    return "ITEM\n" + "\n".join(parts)


def _schema(limit: int) -> dict[str, Any]:
    rules = {"type": "array", "items": {"type": "string", "maxLength": MAX_CHARS}, "maxItems": limit}
    return {
        "type": "object",
        "properties": {"rules": rules},
        "required": ["rules"],
        "additionalProperties": False,
    }


def _fill(values: dict[str, str]) -> str:
    """The prompt file with its slots filled in one pass: slots inside values stay what they are."""
    text = files("judge_opt.memory").joinpath("prompts/distil.md").read_text(encoding="utf-8")
    return _SLOT.sub(lambda match: values.get(match[1], match[0]), text)


def _read(reply: str, sources: tuple[str, ...], limit: int) -> tuple[list[Guideline], list[str]]:
    try:
        found = json.loads(reply[reply.index("{") : reply.rindex("}") + 1])["rules"]
        rules = [rule for rule in found if isinstance(rule, str)]
    except (ValueError, KeyError, TypeError):
        return [], ["a distillation reply could not be read: no guidelines from it"]
    kept: list[Guideline] = []
    warnings: list[str] = []
    seen: set[str] = set()
    for rule in rules[:limit]:
        text = " ".join(printable(rule).split())
        if not text or fold(text) in seen:
            continue
        if fault := _fault(text):
            warnings.append(f"a distilled rule was refused ({fault}): {text[:60]!r}")
            continue
        seen.add(fold(text))
        kept.append(Guideline(text, sources))
    return kept, warnings


def _fault(text: str) -> str:
    """Why a text is no guideline; "" where it may be one."""
    if len(text) > MAX_CHARS:
        return "too long"
    if _MARKUP.search(text):
        return "with markup"
    words = re.findall(r"[^\W\d_]{2,}", fold(text))
    if len(set(words)) < 4 or 2 * len(set(words)) < len(words) or 2 * sum(map(len, words)) < len(text):
        return "no sentence"
    return ""
