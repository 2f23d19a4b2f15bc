"""The form of a reply, taken from the request as a person would take it.

In this order: a JSON schema; marks that the last sentences name in backticks; a skeleton of JSON in the
text; names in quotes in a sentence about JSON; a fenced block; else plain text. No form is known by name.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from judge_opt.testing.lab.lexicon import LABELS

_VERDICT = re.compile(
    r"verdict|label|rating|result|score|answer|decision|judge?ment|grade|class|value|output", re.IGNORECASE
)
_MARKED = re.compile(r"`([^`\n]+)`")
_SOURCES = re.compile(
    r"(?:^|_|\b)(?:ids?|sources?|indices|index|records?|examples?|evidence)$", re.IGNORECASE
)
"""Names of lists that say where a rule comes from."""
_QUOTED = re.compile(r"\"(\w+)\"")
_LIST = re.compile(r"\[\s*\"[^\"\\\n]+\"(?:\s*,\s*\"[^\"\\\n]+\")*\s*\]")
_KEY = re.compile(r"\s*\"(\w+)\"\s*:\s*")


@dataclass(frozen=True, slots=True)
class Content:
    """What there is to say; a judge has a verdict, a reflection rules and a text of them.

    Attributes:
        verdict: the label as the request spells it; "" for none.
        text: reasons, or an instruction text.
        rules: one text a rule.
        confidence: probability of the verdict.
        sources: of each rule, the names of the records that it comes from.
    """

    verdict: str = ""
    text: str = ""
    rules: tuple[str, ...] = ()
    confidence: float = 0.5
    sources: tuple[tuple[str, ...], ...] = ()


def schema_of(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """The JSON schema that a request body asks for, or None."""
    wanted = body.get("response_format")
    named = wanted.get("json_schema") if isinstance(wanted, dict) else None
    schema = named.get("schema") if isinstance(named, dict) else None
    return schema if isinstance(schema, dict) else None


def choices_of(schema: Any) -> list[str]:
    """The labels that a schema allows; the longest enumeration of labels in it, or those of a boolean."""
    found: list[str] = []
    if isinstance(schema, dict):
        own = [str(one).lower() for one in schema.get("enum", ()) if str(one).lower() in LABELS]
        own = own or (["false", "true"] if schema.get("type") == "boolean" else [])
        for deeper in [own, *(choices_of(one) for one in schema.values())]:
            found = deeper if len(deeper) > len(found) else found
    elif isinstance(schema, list):
        for one in schema:
            deeper = choices_of(one)
            found = deeper if len(deeper) > len(found) else found
    return found


def most_items(schema: Any) -> int | None:
    """The room that a schema's list has; None where it does not say."""
    if isinstance(schema, dict):
        if isinstance(schema.get("maxItems"), int):
            return int(schema["maxItems"])
        return next((n for one in schema.values() if (n := most_items(one)) is not None), None)
    return None


def write(body: Mapping[str, Any], text: str, last: str, content: Content) -> str:
    """The reply.

    Args:
        body: the request.
        text: all of it but the items.
        last: what comes after the last item.
    """
    schema = schema_of(body)
    if schema is not None:
        return json.dumps(_fill(schema, "", content, schema.get("$defs", {})), ensure_ascii=False)
    marks = list(dict.fromkeys(_MARKED.findall(last)))
    if marks:
        ending = [bool(re.search(rf"\bend\w*\b[^`]*`{re.escape(mark)}`", last)) for mark in marks]
        return _marked(marks, ending, text, "json" in last.lower(), content)
    skeleton = _skeleton(text)
    if skeleton is not None:
        return json.dumps(_fill(skeleton, "", content, {}), ensure_ascii=False)
    if names := _named(text):
        kinds: dict[str, Any] = {name: {"type": "string"} for name in names}
        shape = {"type": "object", "properties": kinds}
        return json.dumps(_fill(shape, "", content, {}), ensure_ascii=False)
    said = content.text or "\n".join(f"- {rule}" for rule in content.rules)
    if "```" in text and not content.verdict:
        return f"```\n{said}\n```"
    return f"{said}\nVerdict: {content.verdict}" if content.verdict else said


def _named(text: str) -> list[str]:
    """Names in quotes in the last sentence about JSON that has some."""
    about = [s for s in re.split(r"(?<=[.:])\s", text) if "json" in s.lower()]
    for sentence in reversed(about):
        if names := list(dict.fromkeys(_QUOTED.findall(sentence))):
            return names
    return []


def _is_verdict(names: Sequence[str]) -> Callable[[str], bool]:
    """Which of these fields is the verdict: the first whose name says so, else the last."""
    chosen = next((name for name in names if _VERDICT.search(name)), names[-1] if names else "")
    return lambda name: name == chosen


def _marked(marks: Sequence[str], closing: Sequence[bool], text: str, as_json: bool, content: Content) -> str:
    """The marks repeated with what belongs under each; one with which the reply is to end stands alone."""
    names = [re.sub(r"\W+", " ", mark).strip() for mark in marks]
    verdict = _is_verdict([n for n, ends in zip(names, closing, strict=True) if not ends])
    values: dict[str, Any] = {name: _told(name, verdict(name), content) for name in names}
    for name in names:
        if _is_mapping(name, text):
            values[name] = dict.fromkeys(_keys(text) or [name], values[name])
    if as_json and all(mark.isidentifier() for mark in marks):
        return json.dumps({name: values[name] for name in names}, ensure_ascii=False)
    values = {
        name: one if isinstance(one, str) else json.dumps(one, ensure_ascii=False)
        for name, one in values.items()
    }
    parts = []
    for mark, name, ends in zip(marks, names, closing, strict=True):
        if ends:
            parts.append(mark)
        elif re.fullmatch(r"<\w+>", mark):
            parts.append(f"{mark}\n{values[name]}\n</{mark[1:]}")
        else:
            parts.append(f"{mark}\n{values[name]}")
    return "\n\n".join(parts)


def _is_mapping(name: str, text: str) -> bool:
    """Whether the request describes the field as an object with keys of its own."""
    return bool(re.search(rf"\b{re.escape(name)}\b\W{{0,8}}\([^)\n]*\bdict\b", text))


def _keys(text: str) -> list[str]:
    """The strings of the last list in the request: what an object's keys are to be."""
    lists = _LIST.findall(text)
    return list(dict.fromkeys(re.findall(r"\"([^\"\\]+)\"", lists[-1]))) if lists else []


def _told(name: str, is_verdict: bool, content: Content) -> str:
    if content.verdict:
        return content.verdict if is_verdict else content.text
    return content.text


def _fill(schema: Any, name: str, content: Content, defs: Mapping[str, Any], is_verdict: bool = True) -> Any:
    """A value of `schema` that says `content`."""
    if not isinstance(schema, dict):
        return content.text
    if "$ref" in schema:
        schema = defs.get(str(schema["$ref"]).rsplit("/", 1)[-1], {})
    for several in ("anyOf", "oneOf", "allOf"):
        if schema.get(several):
            schema = schema[several][0]
    kind = schema.get("type")
    if schema.get("enum"):
        matching = [one for one in schema["enum"] if str(one).lower() == content.verdict.lower()]
        return matching[0] if matching else schema["enum"][0]
    if kind == "object" or "properties" in schema:
        fields = schema.get("properties", {})
        labelled = [key for key, one in fields.items() if isinstance(one, dict) and choices_of(one)]
        verdict = _is_verdict(labelled or list(fields))
        return {key: _fill(one, key, content, defs, verdict(key)) for key, one in fields.items()}
    if kind == "array":
        inner = schema.get("items", {})
        if _SOURCES.search(name) and not content.verdict:
            named = [one for sources in content.sources for one in sources]
            return [int(one) if one.isdigit() and _numeric(inner) else one for one in named]
        if isinstance(inner, dict) and inner.get("type") in ("integer", "number"):
            return []
        sources = content.sources or ((),) * len(content.rules)
        return [
            _fill(inner, name, Content(text=rule, rules=(rule,), sources=(named,)), defs)
            for rule, named in zip(content.rules, sources, strict=True)
        ]
    if kind == "boolean":
        return content.verdict.lower() in ("true", "yes", "pass", "good", "acceptable")
    if kind in ("integer", "number"):
        return round(content.confidence, 4) if kind == "number" else 0
    return content.verdict if content.verdict and is_verdict else content.text


def _numeric(schema: Any) -> bool:
    """Whether a number is allowed there."""
    return isinstance(schema, dict) and (
        schema.get("type") in ("integer", "number") or any(map(_numeric, schema.get("anyOf", ())))
    )


def _skeleton(text: str) -> dict[str, Any] | None:
    """The last object in the text that has keys and no data: what a prompt shows as the form to fill."""
    for start in reversed([m.start() for m in re.finditer(r"\{\s*\"\w+\"\s*:", text)]):
        if (read := _shape(text, start)) is not None and _whole(text, start):
            return read[0]
    return None


def _whole(text: str, start: int) -> bool:
    """True for an outermost object."""
    before = text[:start]
    return before.count("{") - before.count("}") <= 0


def _shape(text: str, at: int) -> tuple[dict[str, Any], int] | None:
    """(schema, end) of the loosely written object at `at`; what stands for a value is taken for its
    description."""
    fields: dict[str, Any] = {}
    at += 1
    while at < len(text):
        if closing := re.match(r"[\s,.]*(?:\.\.\.)?[\s,]*(?:#[^\n]*)?\s*\}", text[at:]):
            return {"type": "object", "properties": fields}, at + closing.end()
        key = re.match(r"[\s,]*(?:#[^\n]*\n[^\"}]*)*\"(\w+)\"\s*:\s*", text[at:])
        if key is None:
            return None
        at += key.end()
        if opened := re.match(r"(\[\s*)?\{", text[at:]):
            read = _shape(text, at + opened.end() - 1)
            if read is None:
                return None
            inner, at = read
            if opened[1]:
                rest = re.match(r"[^\]]*\]", text[at:])
                at += rest.end() if rest else 0
            fields[key[1]] = {"type": "array", "items": inner} if opened[1] else inner
            continue
        value = re.match(r"\[[^\]\n]*\]|\"(?:[^\"\\]|\\.)*\"|[^,}\n\[]*(?:\[[^\]\n]*\])?[^,}\n]*", text[at:])
        said = value[0].strip() if value else ""
        at += value.end() if value else 0
        listed = said.startswith(("[", "list"))
        numbers = listed and bool(re.search(r"\b(?:int|integer|number)s?\b", said))
        inner = {"type": "integer" if numbers else "string"}
        fields[key[1]] = {"type": "array", "items": inner} if listed else {"type": "string"}
        at += len(re.match(r"[^\n,}]*", text[at:])[0]) if at < len(text) else 0  # type: ignore[index]
    return None
