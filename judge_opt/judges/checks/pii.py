"""Personal data in a text: what kind and where, and never the value itself.

    judged = PII(["email", "iban"])(outputs="Write to ann@example.org")
    judged.value, judged.metadata["spans"]     # "no", [{"type": "email", "start": 9, "end": 24}]

What has a check digit or a numbering plan is verified (python-stdnum, phonenumbers), so that an order number is
not taken for a card. Names and addresses are not looked for: that needs a model.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, get_args

from judge_opt.core.errors import UsageError
from judge_opt.core.results import Scored, Unscored
from judge_opt.judges.checks.code_check import CodeCheck, shipped_check
from judge_opt.judges.checks.text import YES_NO, text_of, verdict

PIIType = Literal["email", "iban", "credit_card", "ssn", "ip_address", "phone"]
"""In order of precedence: what is part of an IBAN is no phone number."""

MAX_CHARS = 1_000_000
"""A longer text is not scanned: it is Unscored("too_long")."""

# Every repetition is bounded and begins where none can begin before it: the work is linear in the text.
_EMAIL = re.compile(
    r"(?<![\w.%+-])[\w.%+-]{1,64}@[^\W_](?:[\w-]{0,61}[^\W_])?(?:\.[^\W_](?:[\w-]{0,61}[^\W_])?){1,6}"
)
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11,30}", re.ASCII)
_CARD = re.compile(r"(?<![0-9])(?<![0-9][ -])[2-6][0-9](?:[ -]?[0-9]){10,17}(?![0-9])")
_SSN = re.compile(r"(?<![0-9-])[0-9]{3}-[0-9]{2}-[0-9]{4}(?![0-9-])")
_IPV4 = re.compile(r"(?<![0-9.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?!\.?[0-9])")
_IPV6 = re.compile(r"(?<![0-9A-Za-z:.])[0-9A-Fa-f:]{2,39}(?![0-9A-Za-z:])")

Span = tuple[int, int]


def PII(  # noqa: N802 - called like a class
    pii_types: PIIType | Sequence[PIIType] | None = None,
    *,
    region: str = "US",
    field: str = "outputs",
    name: str = "pii_detection",
    description: str = "",
) -> CodeCheck:
    """no where a text holds personal data, yes where it is clean. MLflow's `PIIDetection`.

    Args:
        pii_types: what to look for: email, iban, credit_card, ssn (US social security number), ip_address,
            phone; None for all.
        region: two letters; where a telephone number without a country code is dialled.

    Raises:
        UsageError: a type or the region is not known.
    """
    import phonenumbers

    known = get_args(PIIType)
    asked = known if pii_types is None else (pii_types,) if isinstance(pii_types, str) else tuple(pii_types)
    if not asked or (unknown := [one for one in asked if one not in known]):
        raise UsageError(
            f"{unknown[0] if asked else pii_types!r} is no kind of personal data that can be looked for.",
            f"Use some of: {', '.join(known)}.",
        )
    if region not in phonenumbers.SUPPORTED_REGIONS:
        raise UsageError(f"region={region!r} is no region.", "Give two letters, such as US, GB or DE.")
    chosen = [one for one in known if one in asked]

    def run(value: Any) -> Scored | Unscored:
        text = text_of(value)
        if len(text) > MAX_CHARS:
            return Unscored("too_long", f"{len(text):,} characters; at most {MAX_CHARS:,} are scanned")
        spans = personal_data(text, chosen, region)
        if not spans:
            return verdict(True, f"no {', '.join(chosen)} found", spans=[])
        listed = "; ".join(f"{one['type']} at {one['start']}-{one['end']}" for one in spans[:20])
        more = f"; and {len(spans) - 20} more" if len(spans) > 20 else ""
        return verdict(False, listed + more, spans=spans)

    arguments = {"pii_types": list(chosen), "region": region, "field": field}
    about = (
        f"The text holds no personal data of these kinds: {', '.join(chosen)} (telephone numbers: {region})."
    )
    return shipped_check(
        name, run, about, [field], YES_NO, shipped=("PII", arguments), description=description
    )


def personal_data(text: str, kinds: Sequence[PIIType], region: str = "US") -> list[dict[str, Any]]:
    """`{"type", "start", "end"}` of each find, in order of place; positions count characters. No two overlap:
    the type that comes first in `PIIType` wins."""
    taken = bytearray(len(text))
    found = []
    for kind in kinds:
        for start, end in _FINDERS[kind](text, region):
            if any(taken[start:end]):
                continue
            taken[start:end] = b"\x01" * (end - start)
            found.append({"type": kind, "start": start, "end": end})
    return sorted(found, key=lambda one: one["start"])


def _emails(text: str, _: str) -> Iterator[Span]:
    for match in _EMAIL.finditer(text):
        if not match[0].rpartition(".")[2].isdecimal():
            yield match.span()


def _ibans(text: str, _: str) -> Iterator[Span]:
    """A candidate may run on into what follows it; the country's length says where it ends."""
    from stdnum import iban

    for match in _IBAN.finditer(text):
        for end in range(match.end(), match.start() + 14, -1):
            if iban.is_valid(text[match.start() : end]):
                yield match.start(), end
                break


def _cards(text: str, _: str) -> Iterator[Span]:
    """13 to 19 digits that begin like a card of a large issuer and have a right check digit."""
    from stdnum import luhn

    for match in _CARD.finditer(text):
        digits = re.sub("[ -]", "", match[0])
        if luhn.is_valid(digits) and len(set(digits)) > 1:
            yield match.span()


def _ssns(text: str, _: str) -> Iterator[Span]:
    from stdnum.us import ssn

    for match in _SSN.finditer(text):
        if ssn.is_valid(match[0]):
            yield match.span()


def _addresses(text: str, _: str) -> Iterator[Span]:
    for pattern in (_IPV4, _IPV6):
        for match in pattern.finditer(text):
            try:
                address = ipaddress.ip_address(match[0])
            except ValueError:
                continue
            if not address.is_unspecified:
                yield match.span()


def _phones(text: str, region: str) -> Iterator[Span]:
    import phonenumbers

    leniency = phonenumbers.Leniency.STRICT_GROUPING
    for match in phonenumbers.PhoneNumberMatcher(text, region, leniency):
        # The matcher takes a bracket along that was opened around the number.
        yield match.start + (match.raw_string[0] == "(" and ")" not in match.raw_string), match.end


_FINDERS: dict[str, Callable[[str, str], Iterator[Span]]] = {
    "email": _emails,
    "iban": _ibans,
    "credit_card": _cards,
    "ssn": _ssns,
    "ip_address": _addresses,
    "phone": _phones,
}
