"""Names that are safe as file names, in URLs and in a terminal, and that cannot be mistaken for others.

An allow-list, since a list of what is forbidden always misses one: ASCII only, so that no look-alike
letter passes for another judge's name.
"""

import re

from judge_opt.core.errors import UsageError

MAX_LENGTH = 200
_ALLOWED = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._ -]*")
_REMEDY = (
    f"Use 1 to {MAX_LENGTH} of: letters a to z, digits, '.', '_', '-' and spaces; no '..', no dot at the "
    "start, no space at an end."
)


def check_name(name: object, what: str = "name") -> str:
    """`name`, if it is allowed.

    Raises:
        UsageError: it is not; the message shows it escaped and says what is allowed.
    """
    fits = (
        isinstance(name, str)
        and len(name) <= MAX_LENGTH
        and _ALLOWED.fullmatch(name)
        and ".." not in name
        and not name.endswith((" ", "."))
    )
    if not fits:
        raise UsageError(f"The {what} {ascii(name)[:80]} is not allowed.", _REMEDY)
    return str(name)


def parse_reference(text: str) -> tuple[str, str | None]:
    """`name`, `name/3` or `name@production` as (name, version or alias).

    Raises:
        UsageError: it is none of these.
    """
    for mark in ("@", "/"):
        name, separator, version = text.partition(mark)
        if separator:
            if not name or not version or (mark == "/" and not version.isdigit()):
                raise UsageError(
                    f"{text[:80]!r} names no version.", "Write NAME, NAME/3, NAME@production, or a folder."
                )
            return name, version
    return text, None


def check_alias(alias: object) -> str:
    """`alias`, if it is an allowed name that cannot be read as a version.

    Raises:
        UsageError: it is not.
    """
    text = check_name(alias, "alias")
    if text.isdigit() or text == "latest":
        raise UsageError(
            f"The alias {text!r} would be read as a version.", 'Use a word, such as "production".'
        )
    return text
