"""Values inside stored JSON, in SQL, with the same meaning on SQLite and on PostgreSQL.

A stored value has a text form and perhaps a number. The text form of a text is the text itself, of a
number, true and false what JSON writes, of a list or object its JSON; null and what is not there have none.
NUL and lone surrogates, which databases refuse in text, count as U+FFFD here, in what is stored and in what
is looked for alike.

PostgreSQL: the text is cast to jsonb, with the escapes that jsonb refuses replaced first. SQLite: three
functions in Python, which `prepare` adds to a connection.
"""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from judge_opt.traces.filters.patterns import matcher, read_pattern, write_pattern

Dialect = Literal["sqlite", "postgresql"]
Bool = sa.ColumnElement[bool]

_REFUSED = (
    r"\\u0000"
    r"|\\ud[89ab][0-9a-f]{2}(?!\\ud[c-f])"  # the first half of a pair, without the second
    r"|(?<!\\ud[89ab][0-9a-f]{2})\\ud[c-f][0-9a-f]{2}"  # the second without the first
)


_NOT_VERBATIM = re.compile(r"[^ -~]|[\"\\\\,:]")


def plain_text(text: str) -> str:
    """`text` in the form in which texts are compared."""
    if text.isascii():
        return text.replace("\x00", "\ufffd")
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return joined.replace("\x00", "\ufffd")


@dataclass(frozen=True, slots=True)
class JsonValue:
    """A value inside a column of JSON text.

    Args:
        document: the column.
        path: keys and list indexes; () for the whole.
        parsed: PostgreSQL: the column is jsonb already.
    """

    document: sa.ColumnElement[Any]
    path: tuple[str, ...]
    dialect: Dialect
    parsed: bool = False

    def text(self) -> sa.ColumnElement[Any]:
        """The text form; NULL where there is none."""
        if self.dialect == "postgresql":
            return collated(self._jsonb().op("#>>", return_type=sa.Text())(self._keys()), self.dialect)
        return sa.func.judge_opt_text(self.document, json.dumps(self.path), type_=sa.Text)

    def number(self) -> sa.ColumnElement[Any]:
        """The number; NULL where it is none."""
        if self.dialect == "postgresql":
            text = self._jsonb().op("#>>", return_type=sa.Text())(self._keys())
            return sa.case((self.kind() == "number", sa.cast(text, sa.Numeric)), else_=None)
        return sa.func.judge_opt_number(
            self.document, json.dumps(self.path), type_=sa.Numeric(asdecimal=False)
        )

    def kind(self) -> sa.ColumnElement[Any]:
        """string, number, boolean, array, object or null; NULL where there is nothing."""
        if self.dialect == "postgresql":
            return sa.func.jsonb_typeof(
                self._jsonb().op("#>", return_type=JSONB())(self._keys()), type_=sa.Text
            )
        return sa.func.judge_opt_kind(self.document, json.dumps(self.path), type_=sa.Text)

    def like(self, pattern: str, ignore_case: bool) -> Bool:
        """Whether the text form matches. In the JSON of a list or object, quotes, line ends and the like are
        found as they are written in the pattern."""
        text = self.text()
        direct = like(text, write_pattern(pattern, plain_text), ignore_case, self.dialect)
        inside = write_pattern(pattern, _in_json)
        if inside != write_pattern(pattern, plain_text):
            nested = like(text, inside, ignore_case, self.dialect)
            direct = sa.case((self.kind().in_(["array", "object"]), nested), else_=direct)
        if self.parsed:
            return direct
        return sa.and_(*holds(self.document, pattern, ignore_case, self.dialect), direct)

    def _jsonb(self) -> sa.ColumnElement[Any]:
        return self.document if self.parsed else safe_jsonb(self.document)

    def _keys(self) -> sa.ColumnElement[Any]:
        return sa.cast(_array(self.path), sa.ARRAY(sa.Text))


def safe_jsonb(document: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """PostgreSQL: JSON text as jsonb, whatever escapes it holds.

    An escaped backslash is written in its other form first: every backslash that is left begins an escape.
    """
    aligned = sa.func.replace(document, r"\\", r"\u005c", type_=sa.Text)
    cleaned = sa.func.regexp_replace(aligned, _REFUSED, r"\\ufffd", "g", type_=sa.Text)
    return sa.cast(cleaned, JSONB)


def holds(document: sa.ColumnElement[Any], pattern: str, ignore_case: bool, dialect: Dialect) -> list[Bool]:
    """What every document holds in which some text matches: it spares reading the others as JSON."""
    words = verbatim(pattern)
    if ignore_case:
        return [document.icontains(word, autoescape=True, escape="!") for word in words]
    found = sa.func.strpos if dialect == "postgresql" else sa.func.instr
    return [found(document, word) > 0 for word in words]


def verbatim(pattern: str) -> list[str]:
    """The longest word of each literal of a pattern that JSON stores as it is, wherever it stands: ASCII
    without quotes, backslashes, and the marks around which JSON can be spaced in two ways."""
    found = []
    for kind, literal in read_pattern(pattern):
        if kind == "text":
            words = [word.strip() for word in _NOT_VERBATIM.split(literal)]
            found.append(max(words, key=len))
    return [word for word in found if word]


def like(text: sa.ColumnElement[Any], written: str, ignore_case: bool, dialect: Dialect) -> Bool:
    """Whether `text` matches a pattern of `write_pattern`; false where it is NULL."""
    if dialect == "postgresql":
        found: Bool = text.ilike(written, escape="!") if ignore_case else text.like(written, escape="!")
    else:
        found = sa.func.judge_opt_like(text, written, int(ignore_case), type_=sa.Integer) == 1
    return sa.and_(text.is_not(None), found)


def number(value: Decimal, dialect: Dialect) -> Any:
    """A number of a filter as a bound value: exact on PostgreSQL, a double on SQLite."""
    if dialect == "postgresql":
        return sa.cast(value, sa.Numeric)
    if value == value.to_integral_value() and abs(value) < 2**63:
        return sa.literal(int(value), sa.BigInteger)
    return sa.literal(float(value), sa.Float)


def collated(text: sa.ColumnElement[Any], dialect: Dialect) -> sa.ColumnElement[Any]:
    """Text that is ordered by code points, on every server."""
    return sa.collate(text, "C") if dialect == "postgresql" else text


def each(document: sa.ColumnElement[Any], dialect: Dialect) -> sa.TableValuedAlias:
    """The members of a JSON list as rows with one column, `value`: JSON text, or jsonb on PostgreSQL."""
    if dialect == "postgresql":
        return sa.func.jsonb_array_elements(safe_jsonb(document)).table_valued(sa.column("value", JSONB))
    return sa.func.json_each(document).table_valued("value")


def prepare(connection: sa.Connection, dialect: Dialect) -> None:
    """Makes a connection ready for the expressions of this module."""
    if dialect != "sqlite":
        return
    raw = connection.connection.dbapi_connection
    assert raw is not None
    raw.create_function("judge_opt_text", 2, _sqlite_text, deterministic=True)
    raw.create_function("judge_opt_number", 2, _sqlite_number, deterministic=True)
    raw.create_function("judge_opt_kind", 2, _sqlite_kind, deterministic=True)
    raw.create_function("judge_opt_like", 3, _sqlite_like, deterministic=True)


def _array(path: Sequence[str]) -> Any:
    return sa.literal([plain_text(key) for key in path], sa.ARRAY(sa.Text))


def _in_json(text: str) -> str:
    return json.dumps(plain_text(text), ensure_ascii=False)[1:-1]


_MISSING = object()


@lru_cache(maxsize=256)
def _keys_of(path: str) -> tuple[str, ...]:
    return tuple(json.loads(path))


def _at(document: str | None, path: str) -> Any:
    if document is None:
        return _MISSING
    value = json.loads(document)
    for key in _keys_of(path):
        if isinstance(value, dict):
            value = value.get(key, _MISSING)
        elif isinstance(value, list) and key.lstrip("-").isdigit() and -len(value) <= int(key) < len(value):
            value = value[int(key)]
        else:
            return _MISSING
        if value is _MISSING:
            return value
    return value


def _sqlite_text(document: str | None, path: str) -> str | None:
    value = _at(document, path)
    if value is None or value is _MISSING:
        return None
    if isinstance(value, str):
        return plain_text(value)
    return plain_text(json.dumps(value, ensure_ascii=False))


def _sqlite_number(document: str | None, path: str) -> float | int | None:
    value = _at(document, path)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if isinstance(value, int) and abs(value) >= 2**63:
        try:
            return float(value)
        except OverflowError:
            return math.copysign(math.inf, value)
    return value


def _sqlite_kind(document: str | None, path: str) -> str | None:
    value = _at(document, path)
    if value is _MISSING:
        return None
    for kind, name in ((bool, "boolean"), (str, "string"), (dict, "object"), (list, "array")):
        if isinstance(value, kind):
            return name
    return "null" if value is None else "number"


def _sqlite_like(text: str | None, pattern: str, ignore_case: int) -> int:
    return int(text is not None and matcher(pattern, bool(ignore_case))(text))
