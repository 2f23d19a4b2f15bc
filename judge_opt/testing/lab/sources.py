"""Which of the records that were shown a written rule comes from, by the names that the request gives them."""

import re

from judge_opt.testing.lab.grammar import sentences
from judge_opt.testing.lab.reading import Reading

_NAME = re.compile(
    r"(?:\b(?:ids?|no|nr|number|index|item|example|record|row|case|sample|entry|instance)\b|\#)"
    r"[\"'`*]*\s*[:=#.]?\s*[\"'`\[(]*(?P<name>\d+|[\w-]*\d[\w-]*)",
    re.IGNORECASE,
)
_FAR = 400
"""Characters before an item in which its name may stand."""

MOST = 10
"""Sources that are told of one rule."""


def names(reading: Reading) -> list[str]:
    """Each record's name: the nearest one that stands before its item, else its number, counted from 1."""
    found, end = [], 0
    for number, record in enumerate(reading.records, 1):
        before = reading.text[max(end, record.item.start - _FAR) : record.item.start]
        told = list(_NAME.finditer(before))
        found.append(told[-1]["name"] if told else str(number))
        end = record.item.end
    # A number that stands for something else is the same for all: then it names none of them.
    return found if len(set(found)) == len(found) else [str(n) for n in range(1, len(found) + 1)]


def sources(rule: str, reading: Reading) -> tuple[str, ...]:
    """Names of the labelled records with a reason that speaks of the rule's features, else of those that
    show one of them, else of the first one."""
    wanted = {feature for one in sentences(rule) for feature, _ in one.literals}
    labelled = [(n, r) for n, r in zip(names(reading), reading.records, strict=True) if r.rated]
    said = [n for n, r in labelled if wanted & {f for reason in r.reasons for f, _ in reason.literals}]
    showing = [n for n, r in labelled if wanted & r.item.shown]
    return tuple((said or showing or [n for n, _ in labelled[:1]])[:MOST])
