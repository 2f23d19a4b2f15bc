"""How an item's parts are written in a prompt: as data, each between its own marks."""

import json
import re
from typing import Any

from judge_opt.core.text import encodable
from judge_opt.labels.examples import FIELDS

_MARK = re.compile(rf"<(?=[\s/]*({'|'.join(FIELDS)})\b)")
_KEY = re.compile(r"(?<=[\"'])(verdict|rationale)(?=\\*[\"'])", re.IGNORECASE)
_FIELD = re.compile(r"\[\[(?=\s*##)")


def value_text(value: Any) -> str:
    """A JSON value for reading: text as it is, a flat dictionary as `key: value` lines, else JSON."""
    if isinstance(value, str):
        return value
    if (
        isinstance(value, dict)
        and value
        and all(isinstance(v, (str, int, float, bool)) for v in value.values())
    ):
        return "\n".join(f"{key}: {v}" for key, v in value.items())
    return json.dumps(value, ensure_ascii=False, indent=1, default=str)


def section(name: str, value: Any) -> str:
    """One part between `<name>` marks. Marks inside the text are broken, so that it cannot close its own
    section or open another; so are the names of the reply's fields where they stand in quotes, and the
    field marks of DSPy's other adapters, so that a reply which echoes the text holds no verdict but the
    judge's own."""
    text = encodable(value_text(value))
    if "<" in text:
        text = _MARK.sub("<\u200b", text)
    if '"' in text or "'" in text:
        text = _KEY.sub(lambda key: f"{key[0][:3]}\u200b{key[0][3:]}", text)
    if "[[" in text:
        text = _FIELD.sub("[\u200b[", text)
    return f"<{name}>\n{text}\n</{name}>"


def item_text(parts: dict[str, Any]) -> str:
    """All parts of an item, in order."""
    return "\n".join(section(name, value) for name, value in parts.items())
