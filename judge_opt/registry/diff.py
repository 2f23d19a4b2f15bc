"""What changed between two versions, in words that a reviewer can read."""

import difflib
import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from judge_opt.core.text import printable

_SHORT = 80


def diff_payloads(before: Any, after: Any) -> list[str]:
    """The changes from one JSON value to another, one an entry, in the order of the paths.

    "added guidelines[2]: ...", "removed ...", "changed model: 'a' -> 'b'"; long texts as a unified diff.
    Items of a list are matched by content, so that one inserted in the middle is one addition. Control and
    bidirectional characters are shown as escapes.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        before, after = _told_once(before, after)
    return list(_changes(before, after, ""))


def _told_once(before: dict[str, Any], after: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A judge's template is its instructions, and has a hash: where the change of the instructions tells it
    all, the other two are left out."""
    old, new = ((one.get("template"), one.get("instructions")) for one in (before, after))
    if old[0] != old[1] or new[0] != new[1] or not isinstance(old[0], str) or old == new:
        return before, after
    same = ("template", "template_hash")
    return tuple({k: v for k, v in one.items() if k not in same} for one in (before, after))  # type: ignore[return-value]


def diff_blobs(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> list[str]:
    """The changes of blobs, by name, size and hash."""
    lines = []
    for name in sorted({*before, *after}):
        if name not in after:
            lines.append(f"removed blob {name}")
        elif name not in before:
            lines.append(f"added blob {name}: {_blob(after[name])}")
        elif before[name] != after[name]:
            lines.append(f"changed blob {name}: {_blob(before[name])} -> {_blob(after[name])}")
    return lines


def _changes(before: Any, after: Any, path: str) -> list[str]:
    if type(before) is type(after) and before == after and _text(before) == _text(after):
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        return _of_objects(before, after, path)
    if isinstance(before, list) and isinstance(after, list):
        return _of_lists(before, after, path)
    where = path or "the payload"
    if isinstance(before, str) and isinstance(after, str) and max(len(before), len(after)) > _SHORT:
        unified = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1)
        body = [printable(line) for line in list(unified)[2:]] or ["(only line ends differ)"]
        return ["\n".join([f"changed {where}:", *("  " + line for line in body)])]
    return [f"changed {where}: {_shown(before)} -> {_shown(after)}"]


def _of_objects(before: dict[str, Any], after: dict[str, Any], path: str) -> list[str]:
    lines = []
    for key in sorted({*before, *after}):
        here = f"{path}.{printable(key)}" if path else printable(key)
        if key not in after:
            lines.append(f"removed {here}: {_shown(before[key])}")
        elif key not in before:
            lines.append(f"added {here}: {_shown(after[key])}")
        else:
            lines += _changes(before[key], after[key], here)
    return lines


def _of_lists(before: list[Any], after: list[Any], path: str) -> list[str]:
    matcher = difflib.SequenceMatcher(None, [_text(x) for x in before], [_text(x) for x in after], False)
    lines = []
    for what, i, i_end, j, j_end in matcher.get_opcodes():
        if what == "equal":
            continue
        paired = min(i_end - i, j_end - j)
        for step in range(paired):
            lines += _changes(before[i + step], after[j + step], f"{path}[{j + step}]")
        lines += [f"removed {path}[{n}]: {_shown(before[n])}" for n in range(i + paired, i_end)]
        lines += [f"added {path}[{n}]: {_shown(after[n])}" for n in range(j + paired, j_end)]
    return lines


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
    text = printable(text)
    return text if len(text) <= 2 * _SHORT else f"{text[: 2 * _SHORT]}... ({len(text)} characters)"


def _blob(data: bytes) -> str:
    return f"{len(data)} bytes, sha256 {sha256(data).hexdigest()[:12]}"
