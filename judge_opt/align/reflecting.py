"""Reflection: a model reads items with the experts' verdicts and reasons and the judge's own, and writes new
instructions (GEPA) or rules (SIMBA).

Items, reasons and the judge's replies are somebody else's text. They stand between marks that they cannot
close, are cut to a length, cannot open or close a code fence, and go into the prompt in one pass, so that
braces in them stay what they are. A reply is read as JSON, else as the fenced block it should have been; what
cannot be read is dropped and told, never guessed.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from dspy.lm15 import Config, Message, Request

from judge_opt.align.running import Alignment
from judge_opt.align.work import Work
from judge_opt.core.results import Judgement, Scored
from judge_opt.core.text import encodable, fold, printable
from judge_opt.core.values import ValueType
from judge_opt.judges.judge import Judge
from judge_opt.judges.rendering import section, value_text
from judge_opt.labels.examples import FIELDS, LabelledExample
from judge_opt.llm.errors import is_fatal
from judge_opt.memory.guidelines import MAX_CHARS

PART_CHARS = 1500
REASON_CHARS = 400
_SLOT = re.compile(r"\[\[(\w+)\]\]")
_FENCE = re.compile(r"```\w*\n(.*)```", re.DOTALL)
_MARKUP = re.compile(r"</?\s*(inputs|outputs|expectations|trace|conversation)\b|\{\{|\}\}|```", re.IGNORECASE)
_MARK = re.compile(rf"<(?=[\s/]*({'|'.join(FIELDS)})\b)", re.IGNORECASE)
_ECHO = re.compile(r"\W*(the\s+)?whole\s+new\s+(prompt|instructions)\b", re.IGNORECASE)
"""What stands in the form of `prompts/rewrite.md` and its like: small models give it back."""
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Record:
    """One row as a reflection sees it.

    Attributes:
        said: what the judge says of it.
        other: another try of the judge that agrees worse with the experts; None where there is none.
    """

    row: LabelledExample
    said: Judgement | None
    other: Judgement | None = None


class Reflector:
    """Asks the reflection model.

    Args:
        run: the alignment that pays.
        judge: whose instructions are improved.
        uri: of the model; None: the judge's own.
        max_chars: of instructions.
    """

    def __init__(self, run: Alignment, judge: Judge, uri: str | None, max_chars: int) -> None:
        name = uri or judge.model
        self.lm = run.session.lm(
            name, purpose="reflect", base_url=judge.endpoint_of(name), temperature=1.0, max_tokens=None
        )
        self.run = run
        self.judge = judge
        self.max_chars = max_chars

    def rewrite(self, text: str, records: Sequence[Record], number: int) -> str | None:
        """New instructions; None, with a warning, where the reply holds none.

        Args:
            number: of the proposal, so that equal prompts are drawn anew.

        Raises:
            JudgeOptError: the endpoint cannot be used at all.
        """
        values = {"chars": str(self.max_chars), "rows": self._rows(records)}
        wanted = {"instructions": {"type": "string"}}
        reply = self._ask("rewrite", text, values, wanted, self.max_chars // 3 + 300, number)
        found = read_rewrite(reply) if reply is not None else None
        if reply is not None and found is None:
            self.run.warn("a reflection reply held no whole instructions and was dropped")
        if found is not None and len(found) > self.max_chars:
            self.run.warn(f"rewritten instructions of more than {self.max_chars} characters were dropped")
            return None
        return found

    def rules(self, text: str, records: Sequence[Record], limit: int, number: int) -> list[str]:
        """At most `limit` rules; none, with a warning, where the reply holds none. See `rewrite`."""
        values = {"limit": str(limit), "rows": self._rows(records)}
        line = {"type": "string", "maxLength": MAX_CHARS}
        wanted = {"rules": {"type": "array", "items": line, "maxItems": limit}}
        reply = self._ask("contrast", text, values, wanted, 100 * limit + 300, number)
        found = read_rules(reply, limit) if reply is not None else []
        if reply is not None and not found:
            self.run.warn("a reflection reply held no rule that can be used")
        return found

    def _ask(
        self,
        prompt: str,
        text: str,
        values: dict[str, str],
        wanted: dict[str, Any],
        max_tokens: int,
        number: int,
    ) -> str | None:
        values |= {"instructions": text.strip(), "labels": self.judge.value_type.describe()}
        return ask(self.run, self.lm, fill(prompt, values), prompt, wanted, max_tokens, number)

    def _rows(self, records: Sequence[Record]) -> str:
        shown = [record_text(n, record, self.judge) for n, record in enumerate(records, start=1)]
        return "\n\n".join(shown)


def ask(
    run: Work, lm: Any, text: str, name: str, wanted: dict[str, Any], max_tokens: int, number: int
) -> str | None:
    """The reflection model's reply to `text`; None, with a warning, where this one call failed.

    Args:
        lm: the session's, with its temperature.
        name: of the form of the reply, `wanted` its JSON properties, all required.
        number: of the proposal: equal prompts are drawn anew.

    Raises:
        JudgeOptError: the endpoint cannot be used at all.
    """
    told = run.tell("reflect")
    told(0, 1)
    schema = {
        "type": "object",
        "properties": wanted,
        "required": list(wanted),
        "additionalProperties": False,
    }
    try:
        response = lm(
            Request(
                model=lm.model,
                messages=(Message.user(encodable(text)),),
                config=Config(
                    max_tokens=max_tokens,
                    temperature=lm.kwargs.get("temperature"),
                    seed=(1_000_003 * run.seed + number) % 2**31,
                    response_format={
                        "type": "json_schema",
                        "name": name,
                        "schema": schema,
                        "strict": True,
                    },
                ),
            )
        )
    except Exception as error:
        if is_fatal(error):
            raise
        run.warn(f"a reflection call failed ({str(error).splitlines()[0][:120]})")
        return None
    told(1, 1)
    return response.message.text or ""


def record_text(number: int, record: Record, judge: Judge) -> str:
    """One row as text: its parts between marks, what the experts said, what the judge said."""
    row, value_type = record.row, judge.value_type
    parts = judge.parts(row.fields)
    lines = [f"ITEM {number}"]
    if isinstance(parts, dict):
        lines += [section(name, cut(value_text(value), PART_CHARS)) for name, value in parts.items()]
    lines.append(f"EXPERTS: {_experts(row, value_type)}")
    if record.other is not None:
        lines.append(f"JUDGE (better try): {_judged(record.said, value_type)}")
        lines.append(f"JUDGE (worse try): {_judged(record.other, value_type)}")
    elif record.said is not None:
        lines.append(f"JUDGE: {_judged(record.said, value_type)}")
    return "\n".join(line.replace("```", "`\u200b`\u200b`") for line in lines)


def _experts(row: LabelledExample, value_type: ValueType) -> str:
    """The gold value, the shares where raters differ, and up to three reasons."""
    gold = "no majority" if row.gold is None else value_type.text_of(row.gold)
    votes = row.soft
    shares = (
        f" ({', '.join(f'{share:.0%} {label}' for label, share in votes.items())})" if len(votes) > 1 else ""
    )
    ordered = sorted(row.votes, key=lambda vote: vote.value != row.gold)
    said = list(dict.fromkeys(line(vote.rationale) for vote in ordered if vote.rationale))[:3]
    return gold + shares + (f" because: {' / '.join(said)}" if said else "")


def _judged(judged: Judgement | None, value_type: ValueType) -> str:
    if judged is None:
        return "nothing yet"
    if not isinstance(judged, Scored):
        return f"no verdict ({judged.reason})"
    sure = f" ({judged.confidence:.0%} sure)" if judged.confidence is not None else ""
    why = f" because: {line(judged.rationale)}" if judged.rationale else ""
    return value_type.text_of(judged.value) + sure + why


def line(text: str) -> str:
    """Somebody's text on one line, cut, with marks of an item's parts broken as in the items."""
    return _MARK.sub("<\u200b", cut(" ".join(printable(text).split()), REASON_CHARS))


def cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]} ... (cut)"


def fill(name: str, values: dict[str, str], folder: Traversable | None = None) -> str:
    """A prompt file (of `folder`; default: ours) with its slots filled in one pass: slots inside values stay
    what they are."""
    where = files("judge_opt.align").joinpath("prompts") if folder is None else folder
    text = where.joinpath(f"{name}.md").read_text(encoding="utf-8")
    return _SLOT.sub(lambda match: values.get(match[1], match[0]), text)


def read_rewrite(reply: str) -> str | None:
    """Instructions in a reply: of a JSON object, else of a fenced block that is closed. A reply that was cut
    off has neither, and one that repeats the words of our form ("the whole new prompt") has none."""
    found = _json(reply)
    if isinstance(found, dict):
        text = found.get("instructions")
    else:
        fenced = _FENCE.search(reply)
        text = fenced[1] if fenced else None
    if not isinstance(text, str) or _ECHO.match(text):
        return None
    return text.strip() or None


def read_rules(reply: str, limit: int) -> list[str]:
    """Rules in a reply: of a JSON object; where it was cut off, those that are whole. Duplicates, long texts
    and such with marks or braces are no rules."""
    found = _json(reply)
    if isinstance(found, dict):
        listed = found.get("rules")
        texts = [one for one in listed if isinstance(one, str)] if isinstance(listed, list) else []
    else:
        _, begun, rest = reply.partition("[")
        texts = [text for one in _STRING.findall(rest) if (text := _unquoted(one))] if begun else []
    kept: dict[str, str] = {}
    for text in texts:
        rule = " ".join(printable(text).split())
        if rule and len(rule) <= MAX_CHARS and not _MARKUP.search(rule) and len(rule.split()) >= 3:
            kept.setdefault(fold(rule), rule)
    return list(kept.values())[:limit]


def _json(reply: str) -> Any:
    start, end = reply.find("{"), reply.rfind("}")
    if start < 0 or end < start:
        return None
    try:
        return json.loads(reply[start : end + 1], strict=False)
    except ValueError:
        return None


def _unquoted(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return ""
