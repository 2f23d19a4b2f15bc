"""From the text of a filter to its tree, by a real grammar (`grammar.lark`)."""

from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any as Anything
from typing import cast

from judge_opt.core.errors import UsageError
from judge_opt.traces.filters.fields import resolve
from judge_opt.traces.filters.syntax import All, Any, Condition, Field, Node, Not, Operator, Value

LONGEST = 20_000
"""Characters of a filter."""

MOST_CONDITIONS = 200
MOST_VALUES = 5_000
DEEPEST = 40

_NAMES = {
    "COMPARE": "an operator such as = or >",
    "LIKE": "LIKE",
    "_IN": "IN",
    "_IS": "IS",
    "_NULL": "NULL",
    "_AND": "AND",
    "_OR": "OR",
    "_NOT": "NOT",
    "NAME": "a field",
    "PART": "a name",
    "QUOTED_NAME": "a name in `backticks`",
    "STRING": "text in 'quotes'",
    "NUMBER": "a number",
    "TRUE": "true",
    "FALSE": "false",
    "LPAR": "(",
    "RPAR": ")",
    "COMMA": ",",
    "DOT": ".",
    "$END": "the end",
}


def parse_filter(text: str) -> Node:
    """The tree of a filter.

    Raises:
        UsageError: it cannot be read, or names a field that there is not; the message says where.
    """
    import lark

    if not isinstance(text, str):
        raise UsageError(f"A filter must be text, got {type(text).__name__}.", "Pass a str.")
    if len(text) > LONGEST:
        raise UsageError(
            f"The filter has {len(text)} characters, more than {LONGEST}.", "Search in several steps."
        )
    if not text.strip():
        raise UsageError("The filter is empty.", "Leave it out to find every trace.")
    try:
        tree = _parser().parse(text)
        node = _node(tree.children[0])
    except lark.exceptions.UnexpectedInput as error:
        raise _explain(error, text) from None
    except RecursionError:
        raise _too_deep() from None
    if _depth(node) > DEEPEST:
        raise _too_deep()
    if (count := _count(node)) > MOST_CONDITIONS:
        raise UsageError(
            f"The filter has {count} conditions, more than {MOST_CONDITIONS}.",
            "Use IN (...) for one field with many values.",
        )
    return node


@cache
def _parser() -> Anything:
    import lark

    grammar = (Path(__file__).parent / "grammar.lark").read_text(encoding="utf-8")
    return lark.Lark(grammar, parser="lalr", propagate_positions=True, maybe_placeholders=False)


def _node(tree: Anything) -> Node:
    parts = tree.children
    match tree.data:
        case "disjunction":
            return Any(tuple(_node(part) for part in parts))
        case "conjunction":
            return All(tuple(_node(part) for part in parts))
        case "negation":
            return Not(_node(parts[0]))
    field = _field(parts[0])
    match tree.data:
        case "comparison":
            operator = {"==": "=", "<>": "!="}.get(str(parts[1]), str(parts[1]))
            return Condition(field, cast(Operator, operator), (_value(parts[2]),))
        case "like":
            return _like(field, parts)
        case "not_like":
            return Not(_like(field, parts))
        case "is_in" | "not_in":
            if len(parts) - 1 > MOST_VALUES:
                raise UsageError(
                    f"IN lists {len(parts) - 1} values, more than {MOST_VALUES}.", "Search in several steps."
                )
            found = Condition(field, "IN", tuple(_value(part) for part in parts[1:]))
            return found if tree.data == "is_in" else Not(found)
        case "is_null":
            return Condition(field, "NULL")
        case _:
            return Not(Condition(field, "NULL"))


def _like(field: Field, parts: Anything) -> Condition:
    return Condition(field, "ILIKE" if str(parts[1]).lower() == "ilike" else "LIKE", (_value(parts[2]),))


def _field(tree: Anything) -> Field:
    parts = [
        (str(token)[1:-1].replace("``", "`"), True) if token.type == "QUOTED_NAME" else (str(token), False)
        for token in tree.children
    ]
    return resolve(parts, ".".join(str(token) for token in tree.children), tree.meta.column)


def _value(token: Anything) -> Value:
    match token.type:
        case "STRING":
            quote = token[0]
            return str(token)[1:-1].replace(quote * 2, quote)
        case "NUMBER":
            return Decimal(str(token))
        case _:
            return bool(token.type == "TRUE")


def _depth(node: Node) -> int:
    match node:
        case Not(inner):
            return 1 + _depth(inner)
        case All(parts) | Any(parts):
            return 1 + max(_depth(part) for part in parts)
        case _:
            return 0


def _count(node: Node) -> int:
    match node:
        case Not(inner):
            return _count(inner)
        case All(parts) | Any(parts):
            return sum(_count(part) for part in parts)
        case _:
            return 1


def _too_deep() -> UsageError:
    return UsageError(f"The filter is nested deeper than {DEEPEST} levels.", "Write it flatter.")


def _explain(error: Anything, text: str) -> UsageError:
    import lark

    column = error.column if isinstance(getattr(error, "column", None), int) and error.column > 0 else None
    expected = getattr(error, "accepts", None) or getattr(error, "expected", None)
    expected = expected or getattr(error, "allowed", None) or ()
    wanted = sorted({_NAMES[name] for name in expected if name in _NAMES})
    token = getattr(error, "token", None)
    at_end = isinstance(error, lark.exceptions.UnexpectedEOF) or (token is not None and token.type == "$END")
    if at_end:
        where, what = f"column {len(text) + 1}", "the filter ends too early"
    else:
        rest = text[error.pos_in_stream : error.pos_in_stream + 20]
        where, what = f"column {column}", f"{rest!r} was not expected"
        if rest[:1] in ("'", '"', "`"):
            what += " (is the closing quote missing?)"
    return UsageError(f"Filter, {where}: {what}.", f"Expected {' or '.join(wanted)}." if wanted else "")
