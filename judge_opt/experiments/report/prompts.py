"""The report of an optimization of prompts, in Markdown: what is claimed, what changed, what was tried, side by side.

    Path("report.md").write_text(prompt_report(result), encoding="utf-8")

Prompts, outputs and reasons are somebody else's text: everything goes through `safe`.
"""

from collections.abc import Iterable, Sequence

from judge_opt.core.structured import to_text
from judge_opt.experiments.report.safe import fenced, markdown, one_line
from judge_opt.prompts.paired import Gain
from judge_opt.prompts.people import ComparedRow
from judge_opt.prompts.result import PromptCandidate, PromptResult

_EXAMPLES = 5
_SHOWN = 600


def prompt_report(result: PromptResult) -> str:
    """The report as Markdown text."""
    parts = [
        "# Prompt optimization",
        f"**{'Confirmed' if result.confirmed else 'Not confirmed'}.** {markdown(result.verdict)}",
        *_warnings(result),
        *_comparison(result),
        "## What changed",
        *([fenced(change) for change in result.diff] or ["Nothing: the seed is kept."]),
        "## What was tried",
        _lineage(result.candidates),
        *_side_by_side(result),
        "## What it cost",
        _costs(result),
        "## Where it comes from",
        fenced(to_text(dict(result.lineage))),
    ]
    return "\n\n".join(parts) + "\n"


def _warnings(result: PromptResult) -> list[str]:
    said = list(result.warnings)
    if result.stopped:
        said.append(f"it stopped early: {result.stopped}")
    if result.noise:
        said.append(
            f"{result.noise:.0%} of the outputs looked at got another score when they were judged again; each is "
            f"judged {result.repeats} times"
        )
    return ["\n".join(f"- {markdown(one)}" for one in said)] if said else []


def _comparison(result: PromptResult) -> list[str]:
    held = result.held_out
    if held is None:
        return []
    rows = [("all judges together", held.total), *held.judges.items()]
    if result.guard is not None:
        rows += [(f"guard {name}", gain) for name, gain in result.guard.gains.items()]
    table = _table(
        ["", "before", "after", "change", "p"], [[markdown(name), *_figures(gain)] for name, gain in rows]
    )
    chosen = "" if held.split == "test" else ", by which the prompt was chosen"
    said = [f"## Seed and best on {held.rows} {held.split} rows{chosen}", table]
    if held.tokens_before:
        said.append(
            f"A request takes {held.tokens_before:.0f} tokens before and {held.tokens_after:.0f} after."
        )
    if result.guard is not None:
        before, after = result.guard.length_before, result.guard.length_after
        said.append(f"An output has {before:.0f} characters before and {after:.0f} after, on average.")
        if result.guard.doubtful:
            said.append(f"To show to people: {markdown(', '.join(result.guard.doubtful))}.")
    return said


def _figures(gain: Gain) -> list[str]:
    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.3f}"

    p_value = "" if gain.p_value is None else f"{gain.p_value:.2g}"
    return [number(gain.before), number(gain.after), gain.gain.text(), p_value]


def _lineage(candidates: Sequence[PromptCandidate]) -> str:
    """The tree of candidates, each under its parent, with what it scored and why it was not taken."""
    lines: list[str] = []

    def grow(name: str, depth: int) -> None:
        for one in candidates:
            if (one.parent or "") == name:
                score = "not run on the rows for choosing" if one.score is None else f"{one.score:.3f}"
                marks = [word for word, on in (("**chosen**", one.chosen), ("front", one.front)) if on]
                why = f" ({markdown(one.why)})" if one.why else ""
                what = f" rewrites {markdown(one.component)}:" if one.component else ":"
                lines.append(f"{'  ' * depth}- {one.name}{what} {', '.join([score, *marks])}{why}")
                grow(one.name, depth + 1)

    grow("", 0)
    return "\n".join(lines)


def _side_by_side(result: PromptResult) -> list[str]:
    better, worse = result.examples(_EXAMPLES)
    parts: list[str] = []
    for title, rows in (("## Outputs that got better", better), ("## Outputs that got worse", worse)):
        if rows:
            parts.append(title)
            parts += [part for row in rows for part in _example(row)]
    return parts


def _example(row: ComparedRow) -> Iterable[str]:
    yield f"### {markdown(row.id)}: {row.score_before:.2f} -> {row.score_after:.2f}"
    for name, value in (("inputs", row.inputs), ("before", row.before), ("after", row.after)):
        text = value if isinstance(value, str) else to_text(value)
        yield f"{name}\n\n{fenced(text[:_SHOWN])}"


def _costs(result: PromptResult) -> str:
    return _table(
        ["purpose", "model", "requests", "from the cache", "tokens in", "tokens out", "USD"],
        [
            [
                one.purpose,
                markdown(one.model),
                str(one.attempts),
                str(one.hits),
                str(one.prompt_tokens),
                str(one.completion_tokens),
                f"{one.usd:.4f}" + (f" and {one.unpriced} calls without a price" if one.unpriced else ""),
            ]
            for one in result.ledger
        ],
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(one_line(cell) for cell in line) + " |" for line in lines)
