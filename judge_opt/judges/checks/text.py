"""Checks of a text: its form, its length, what it contains. Their verdict is yes or no.

    RegexMatch(r"^Answer:")(outputs="Answer: 42").value        # "yes"
    Length(max_length=280)(outputs=tweet)
    ContainsAll(["refund", "14 days"], field="outputs.reply")

`field` names what is looked at: any template variable, by default the outputs. What is no text is read as its
JSON.
"""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

from judge_opt.core.errors import UsageError
from judge_opt.core.results import Scored, Unscored
from judge_opt.core.text import fold
from judge_opt.core.values import categories
from judge_opt.judges.checks.code_check import CodeCheck, shipped_check

YES_NO = categories("yes", "no")
Unit = Literal["chars", "words", "sentences"]
MatchType = Literal["search", "fullmatch"]


def text_of(value: Any) -> str:
    """Text as it is; anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def verdict(passed: bool, why: str, **details: Any) -> Scored:
    """yes or no, with the reason."""
    return Scored("yes" if passed else "no", rationale=why, details=details)


def RegexMatch(  # noqa: N802 - called like a class, as in MLflow
    pattern: str,
    match_type: MatchType = "search",
    case_insensitive: bool = False,
    *,
    timeout: float = 1.0,
    field: str = "outputs",
    name: str = "regex_match",
    description: str = "",
) -> CodeCheck:
    """yes where a text matches a regular expression.

    Args:
        pattern: of the `regex` package, which reads Python's own patterns and more.
        match_type: "search" finds it anywhere, "fullmatch" wants the whole text to match.
        timeout: seconds for one item; a pattern that takes longer leaves it Unscored("timeout").

    Raises:
        UsageError: the pattern, the match type or the time-out is wrong.
    """
    import regex

    try:
        compiled = regex.compile(pattern, regex.IGNORECASE if case_insensitive else 0)
    except (regex.error, TypeError) as error:
        raise UsageError(
            f"The pattern {pattern!r:.80} is no regular expression ({error}).", "Correct it."
        ) from None
    if match_type not in get_args(MatchType):
        raise UsageError(f"match_type={match_type!r} is not known.", 'Use "search" or "fullmatch".')
    if not (timeout > 0 and math.isfinite(timeout)):
        raise UsageError(f"timeout={timeout} is no time.", "Give seconds above 0.")
    find = compiled.search if match_type == "search" else compiled.fullmatch

    def run(value: Any) -> Scored | Unscored:
        try:
            found = find(text_of(value), timeout=timeout)
        except TimeoutError:
            return Unscored("timeout", f"the pattern took more than {timeout:g} s on this text")
        if found is None:
            return verdict(False, f"the text does not match {pattern!r}")
        return verdict(True, f"the text matches {pattern!r}", span=list(found.span()))

    arguments = {
        "pattern": pattern,
        "match_type": match_type,
        "case_insensitive": case_insensitive,
        "timeout": timeout,
        "field": field,
    }
    how = "matches as a whole" if match_type == "fullmatch" else "contains a match of"
    about = f"The text {how} {pattern!r}{', in any case' if case_insensitive else ''}."
    return _of_field("RegexMatch", name, run, about, field, arguments, description)


def Length(  # noqa: N802 - called like a class
    min_length: int | None = None,
    max_length: int | None = None,
    unit: Unit = "chars",
    *,
    field: str = "outputs",
    name: str = "response_length",
    description: str = "",
) -> CodeCheck:
    """yes where the length of a text is within bounds, both included. MLflow's `ResponseLength`.

    Args:
        unit: "chars" are Unicode code points; "words" what white space separates, so that a script without
            it has few; "sentences" are ended by `.`, `!`, `?`, `…` or their full-width forms before white
            space or the end, so that an abbreviation counts as one.

    Raises:
        UsageError: no bound, a negative one, or an empty range.
    """
    if unit not in get_args(Unit):
        raise UsageError(f"unit={unit!r} is not known.", f"Use one of: {', '.join(get_args(Unit))}.")
    for bound in (min_length, max_length):
        if bound is not None and (not isinstance(bound, int) or isinstance(bound, bool) or bound < 0):
            raise UsageError(f"The bound {bound!r} is no length.", "Give a whole number, 0 or more.")
    low, high = min_length or 0, math.inf if max_length is None else max_length
    if (min_length is None and max_length is None) or low > high:
        raise UsageError(
            f"min_length={min_length} and max_length={max_length} bound nothing.",
            "Give at least one, and the smaller one as min_length.",
        )

    def run(value: Any) -> Scored:
        length = _length(text_of(value), unit)
        bounds = f"{low} or more" if max_length is None else f"{low} to {max_length}"
        return verdict(low <= length <= high, f"{length} {unit}; allowed: {bounds}", length=length)

    arguments = {"min_length": min_length, "max_length": max_length, "unit": unit, "field": field}
    upper = "" if max_length is None else f" and at most {max_length}"
    return _of_field(
        "Length", name, run, f"The text has at least {low}{upper} {unit}.", field, arguments, description
    )


def ContainsAll(  # noqa: N802 - called like a class
    texts: str | Sequence[str],
    *,
    case_sensitive: bool = False,
    field: str = "outputs",
    name: str = "contains_all",
    description: str = "",
) -> CodeCheck:
    """yes where a text contains every one of `texts`.

    Args:
        case_sensitive: False also takes other widths, compositions and white space for equal.

    Raises:
        UsageError: there is no text to look for, or an empty one.
    """
    return _contains("ContainsAll", texts, case_sensitive, field, name, description)


def ContainsAny(  # noqa: N802 - called like a class
    texts: str | Sequence[str],
    *,
    case_sensitive: bool = False,
    field: str = "outputs",
    name: str = "contains_any",
    description: str = "",
) -> CodeCheck:
    """yes where a text contains at least one of `texts`; see `ContainsAll`."""
    return _contains("ContainsAny", texts, case_sensitive, field, name, description)


def ExactMatch(  # noqa: N802 - called like a class
    *,
    ignore_case: bool = False,
    ignore_white_space: bool = False,
    field: str = "outputs",
    expected: str = "expectations.expected_response",
    name: str = "exact_match",
    description: str = "",
) -> CodeCheck:
    """yes where two fields are equal. Numbers are compared as numbers (4 is 4.0, and never true); other values
    as JSON.

    Args:
        ignore_case: compare texts without case, width and composition.
        ignore_white_space: compare texts with every run of white space as one blank, and none at the ends.
        expected: the other field.

    Raises:
        UsageError: both are the same field.
    """

    def form(value: Any) -> Any:
        if isinstance(value, str) and ignore_white_space:
            value = " ".join(value.split())
        return fold_case(value) if isinstance(value, str) and ignore_case else value

    def run(value: Any, wanted: Any) -> Scored:
        same = equal(form(value), form(wanted))
        return verdict(same, "equal" if same else f"not equal to {expected}")

    arguments = {
        "ignore_case": ignore_case,
        "ignore_white_space": ignore_white_space,
        "field": field,
        "expected": expected,
    }
    about = f"{field} equals {expected}."
    return shipped_check(
        name,
        run,
        about,
        [field, expected],
        YES_NO,
        shipped=("ExactMatch", arguments),
        description=description,
    )


def equal(a: Any, b: Any) -> bool:
    """Equal as JSON: numbers by value, true and false only equal to themselves."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(value, b[key]) for key, value in a.items())
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return bool(a == b)


def fold_case(text: str) -> str:
    """Without case, width and composition; white space as it is."""
    import unicodedata

    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _contains(
    check: str, texts: str | Sequence[str], case_sensitive: bool, field: str, name: str, description: str
) -> CodeCheck:
    wanted = [texts] if isinstance(texts, str) else list(texts)
    if not wanted or not all(isinstance(text, str) and text.strip() for text in wanted):
        raise UsageError(
            f"{check} got nothing to look for in {texts!r:.80}.", "Give texts that are not empty."
        )
    form: Callable[[str], str] = str if case_sensitive else fold
    every = check == "ContainsAll"

    def run(value: Any) -> Scored:
        text = form(text_of(value))
        missing = [one for one in wanted if form(one) not in text]
        passed = not missing if every else len(missing) < len(wanted)
        why = f"missing: {', '.join(map(repr, missing))}" if missing else "contains all of them"
        return verdict(passed, why, missing=missing)

    arguments = {"texts": wanted, "case_sensitive": case_sensitive, "field": field}
    about = f"The text contains {'all' if every else 'at least one'} of: {', '.join(map(repr, wanted))}."
    return _of_field(check, name, run, about, field, arguments, description)


def _length(text: str, unit: Unit) -> int:
    if unit == "chars":
        return len(text)
    if unit == "words":
        return len(text.split())
    import re

    ends = re.split(r"(?<=[.!?…])[\"'”’»)\]]?(?=\s|$)|(?<=[。！？])", text)
    return sum(any(character.isalnum() for character in one) for one in ends)


def _of_field(
    check: str,
    name: str,
    run: Callable[[Any], Any],
    about: str,
    field: str,
    arguments: dict[str, Any],
    description: str,
) -> CodeCheck:
    return shipped_check(
        name, run, about, [field], YES_NO, shipped=(check, arguments), description=description
    )
