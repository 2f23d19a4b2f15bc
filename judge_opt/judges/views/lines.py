"""The one line that stands for a span, and the one for the whole trace."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from judge_opt.judges.views.text import short_name
from judge_opt.judges.views.tree import Span, SpanTree

_DEEPEST_INDENT = 8
_MODEL = ("gen_ai.request.model", "gen_ai.response.model", "llm.model_name")
_TOKENS_IN = ("gen_ai.usage.input_tokens", "llm.token_count.prompt")
_TOKENS_OUT = ("gen_ai.usage.output_tokens", "llm.token_count.completion")
LONGEST_SUMMARY = 160


def span_line(span: Span, depth: int | None = None, above: int | None = None) -> str:
    """`#4 TOOL search_orders, 120 ms, ERROR`, indented by depth.

    Args:
        depth: how far to indent, from 1; default: where it stands in the tree. Deeper than a few levels,
            the line names the span above instead.
        above: number of the nearest span above that the view shows, where it is not the parent.
    """
    depth = span.depth if depth is None else depth
    facts = [f"#{span.number} {span.type} {span.name}"]
    if span.nanoseconds is not None:
        facts.append(duration(span.nanoseconds))
    if span.failed:
        facts.append("ERROR")
    model = _of(span.attributes, _MODEL)
    if model is not None:
        facts.append(short_name(model, 40))
    tokens = [_count(_of(span.attributes, keys)) for keys in (_TOKENS_IN, _TOKENS_OUT)]
    if any(tokens):
        facts.append("+".join(tokens[i] or "?" for i in (0, 1)) + " tokens")
    if depth > _DEEPEST_INDENT or (above is not None and above != span.parent):
        facts.append(f"under #{span.parent}" if span.parent else "under no span")
    return indent(depth) + ", ".join(facts)


def indent(depth: int) -> str:
    return "  " * (min(depth, _DEEPEST_INDENT) - 1)


def summary(tree: SpanTree) -> str:
    """How many spans of which types, how many failed, how long; what was wrong with them. At most
    `LONGEST_SUMMARY` characters."""
    if not tree.spans:
        return "A trace without spans"
    types = Counter(span.type for span in tree.spans)
    most = sorted(types.items(), key=lambda pair: (-pair[1], pair[0]))[:4]
    line = f"{len(tree.spans):,} spans ({', '.join(f'{count:,} {name}' for name, count in most)}"
    line += ", ...)" if len(types) > 4 else ")"
    if failed := sum(span.failed for span in tree.spans):
        line += f", {failed:,} with an error"
    if tree.spans[0].nanoseconds is not None:
        line += f", {duration(tree.spans[0].nanoseconds)}"
    if tree.notes:
        line += f"; malformed: {', '.join(tree.notes)}"
    return line[:LONGEST_SUMMARY]


def duration(nanoseconds: float) -> str:
    """Three digits are enough to judge by."""
    if nanoseconds >= 1e9:
        return f"{nanoseconds / 1e9:,.2f} s"
    return f"{nanoseconds / 1e6:.3g} ms" if nanoseconds < 1e6 else f"{nanoseconds / 1e6:.0f} ms"


def _of(attributes: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    return next((attributes[key] for key in keys if attributes.get(key) is not None), None)


def _count(value: Any) -> str:
    if isinstance(value, str) and value.isdecimal() and len(value) < 15:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 10**15:
        return ""
    return f"{value:,}"
