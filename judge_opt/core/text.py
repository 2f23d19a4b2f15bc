"""Text that came from outside: made comparable, and made safe to print."""

import difflib
import re
import unicodedata
from collections.abc import Iterable

_SPACE = re.compile(r"\s+")
_UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def fold(text: str) -> str:
    """Case, width, composition and white space removed: twins become equal."""
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", text)).strip().casefold()


def printable(text: str) -> str:
    """For a terminal: control, bidirectional and invisible characters shown as escapes, tabs and new
    lines kept."""
    return _UNSAFE.sub(lambda m: f"\\u{ord(m.group()):04x}", text.replace("\r\n", "\n"))


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a misspelt name: " Did you mean 'x'?", or "" where nothing is near."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {found[0]!r}?" if found else ""


def encodable(text: str) -> str:
    """The text with lone surrogates written as escapes: no model and no socket takes them."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
