"""Hostile text made inert for each medium.

Jinja2's autoescape stops markup. It does not stop characters that reorder or hide text (Trojan Source,
CVE-2021-42574), nor terminal escapes, nor Markdown links; this file does.
"""

import re

from judge_opt.core.text import printable

_ALSO_HIDDEN = re.compile("[\u00ad\u061c\u180e\u2028\u2029\u2060-\u2064\U000e0000-\U000e007f\r]")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~$-])")
_AUTOLINK = re.compile(r"(?i)(https?|ftp|www)(:|\.)")


def shown(text: str) -> str:
    """Control, bidirectional and invisible characters as escapes that a reader can see."""
    return _ALSO_HIDDEN.sub(lambda m: f"\\u{ord(m.group()):04x}", printable(text))


def one_line(text: str, limit: int = 0) -> str:
    """`shown`, on one line; cut at `limit` characters with an ellipsis (0 for no limit)."""
    line = " ".join(shown(text).split())
    return line[: limit - 1] + "…" if limit and len(line) > limit else line


def markdown(text: str) -> str:
    """`one_line` with everything escaped that Markdown or the HTML inside it would act on."""
    escaped = _MARKDOWN.sub(r"\\\1", one_line(text))
    escaped = escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _AUTOLINK.sub(lambda m: f"{m[1]}&#{ord(m[2])};", escaped)


def fenced(text: str) -> str:
    """A Markdown code block that its content cannot close."""
    body = shown(text)
    longest = max((len(run) for run in re.findall(r"`+", body)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{body}\n{fence}"
