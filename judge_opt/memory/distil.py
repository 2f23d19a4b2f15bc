"""Distillation: a reflection LM reads labelled rows and writes guidelines."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from judge_opt.core.errors import ModelError
from judge_opt.core.results import Judgement, Scored
from judge_opt.core.text import fold, printable
from judge_opt.core.values import ValueType
from judge_opt.judges.rendering import value_text
from judge_opt.memory.episodic import Episode
from judge_opt.memory.guidelines import MAX_CHARS, Guideline
from judge_opt.memory.reflect import filled, reflect

_MARKUP = re.compile(
    r"</?\s*(inputs|outputs|expectations|trace|conversation)|\{\{|\}\}|\[\[ ##", re.IGNORECASE
)
_CITED = re.compile(
    r"\s*[\[(](?:items?\s*)?(\d+(?:\s*(?:,|and)\s*(?:item\s*)?\d+)*)[\])]\s*\.?\s*$", re.IGNORECASE
)
_CHARS_PER_ROW = 900
_REASONS = 3
"""Reasons of experts that are quoted for one item, those for the gold value first."""


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled row with what the untouched judge said of it."""

    episode: Episode
    judged: Judgement


class Unread(ModelError):
    """A reflection call brought no guidelines: it failed, or its reply could not be read."""


def distil(
    lm: Any,
    task: str,
    value_type: ValueType,
    rows: Sequence[Row],
    *,
    limit: int,
    max_chars: int,
    seed: int,
    known: Sequence[str] = (),
) -> tuple[list[Guideline], list[str]]:
    """One reflection call on one batch of rows.

    Args:
        lm: the reflection `dspy.LM`.
        task: the judge's instructions as the model reads them.
        rows: in the order in which they are shown.
        limit: guidelines asked for.
        max_chars: of rows in the prompt; those that do not fit are left out, from the end.
        known: texts of guidelines that the judge has already.

    Returns:
        the guidelines that pass the checks (at most `limit`), and a warning for each thing dropped.

    Raises:
        Unread: the call failed, or its reply could not be read.
        JudgeOptError: the endpoint cannot be used at all.
    """
    shown, size = list[tuple[Row, str]](), 0
    warnings: list[str] = []
    for row in rows:
        text = f"ITEM {len(shown) + 1}\n{_row_text(row, value_type)}"
        if shown and size + len(text) > max_chars:
            warnings.append(
                f"{len(rows) - len(shown)} of {len(rows)} rows did not fit into a reflection call"
            )
            break
        shown.append((row, text))
        size += len(text)
    listed = "".join(f"\n- {text}" for text in known)
    prompt = filled(
        "distil",
        {
            "task": task,
            "labels": value_type.describe(),
            "limit": str(limit),
            "known": f"\nThe judge knows these rules already; write none of them again:{listed}\n"
            if known
            else "",
            "rows": "\n\n".join(text for _, text in shown),
        },
    )
    reply = reflect(lm, prompt, "rules", _schema(limit), max_tokens=100 * limit + 200, seed=seed)
    return _read(reply, [row.episode.id for row, _ in shown], limit, warnings)


def _row_text(row: Row, value_type: ValueType) -> str:
    parts = [f"{name}: {value_text(value)[:_CHARS_PER_ROW]}" for name, value in row.episode.parts.items()]
    gold = value_type.text_of(row.episode.gold)
    votes = row.episode.votes
    split = f" ({votes.get(gold, 0)} of {sum(votes.values())} raters)" if len(votes) > 1 else ""
    reasons = _reasons(row.episode)
    why = f" because: {' / '.join(reasons)}" if reasons else ""
    parts.append(f"EXPERTS: {gold}{split}{why}")
    if isinstance(row.judged, Scored):
        reason = f" because: {row.judged.rationale[:300]}" if row.judged.rationale else ""
        parts.append(f"JUDGE: {value_type.text_of(row.judged.value)}{reason}")
    return "\n".join(parts)


def _reasons(episode: Episode) -> list[str]:
    """Reasons for the gold value; those of raters who said otherwise would be read as reasons for it."""
    said = [v.rationale for v in episode.ballots if v.rationale and v.value == episode.gold]
    said = said or ([episode.rationale] if episode.rationale else [])
    return [" ".join(one.split())[:300] for one in dict.fromkeys(said)][:_REASONS]


def _schema(limit: int) -> dict[str, Any]:
    rules = {"type": "array", "items": {"type": "string", "maxLength": MAX_CHARS}, "maxItems": limit}
    return {
        "type": "object",
        "properties": {"rules": rules},
        "required": ["rules"],
        "additionalProperties": False,
    }


def _read(
    reply: str, shown: Sequence[str], limit: int, warnings: list[str]
) -> tuple[list[Guideline], list[str]]:
    try:
        found = json.loads(reply[reply.index("{") : reply.rindex("}") + 1])["rules"]
        rules = [rule for rule in found if isinstance(rule, str)]
    except (ValueError, KeyError, TypeError) as error:
        raise Unread(
            "a distillation reply could not be read: no guidelines from it",
            "Use a model that follows a JSON schema, or guidelines=0.",
        ) from error
    kept: list[Guideline] = []
    seen: set[str] = set()
    for rule in rules[:limit]:
        text, sources = _cited(" ".join(printable(rule).split()), shown)
        if not text or fold(text) in seen:
            continue
        if fault := fault_of(text):
            warnings.append(f"a distilled rule was refused ({fault}): {text[:60]!r}")
            continue
        seen.add(fold(text))
        kept.append(Guideline(text, sources))
    return kept, warnings


def _cited(text: str, shown: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """A rule without the item numbers at its end, and the ids of the items that it stands on."""
    match = _CITED.search(text)
    if match is None:
        return text, tuple(shown)
    numbers = [int(n) for n in re.findall(r"\d+", match[1])]
    named = [shown[n - 1] for n in dict.fromkeys(numbers) if 0 < n <= len(shown)]
    bare = text[: match.start()].rstrip()
    return bare + ("" if bare.endswith((".", "!", "?")) else "."), tuple(named or shown)


def fault_of(text: str) -> str:
    """Why a text is no guideline; "" where it may be one. What judged text could smuggle in is refused: long
    passages, and marks by which a prompt's parts are told apart."""
    if len(text) > MAX_CHARS:
        return "too long"
    if _MARKUP.search(text):
        return "with markup"
    words = re.findall(r"[^\W\d_]{2,}", fold(text))
    if len(set(words)) < 4 or 2 * len(set(words)) < len(words) or 2 * sum(map(len, words)) < len(text):
        return "no sentence"
    return ""
