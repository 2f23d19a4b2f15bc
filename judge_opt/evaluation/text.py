"""An evaluation and a comparison as text for people; safe to print."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from judge_opt.core.text import printable
from judge_opt.evaluation.costs import Cost
from judge_opt.evaluation.metrics import JudgeMetrics

if TYPE_CHECKING:
    from judge_opt.evaluation.comparison import EvaluationComparison
    from judge_opt.evaluation.result import EvaluationResult


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table whose columns line up."""
    shown = [[printable(" ".join(cell.split())) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in shown) for i in range(len(shown[0]))] if shown else []
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in shown
    ]


def figure_rows(metrics: JudgeMetrics) -> list[list[str]]:
    """Name and value of each figure of a judge, with its interval."""
    rows = []
    for name, one in metrics.figures.items():
        percent = name.startswith("share/") or (name == "mean" and metrics.kind in ("bool", "nominal"))
        rows.append([name, one.text("percent" if percent else "number")])
    if metrics.median is not None:
        rows.append(["median", metrics.median])
    if metrics.agreement is not None:
        for measure, one in metrics.agreement.metrics.items():
            rows.append([f"agreement/{measure}", one.text("percent" if measure == "agreement" else "number")])
    return rows


def coverage_text(metrics: JudgeMetrics) -> str:
    """How many rows a judge scored, and why not the others."""
    reasons = ", ".join(f"{count} {reason}" for reason, count in metrics.unscored.items())
    judged = f"{metrics.n_scored} of {metrics.n_rows} rows judged"
    return f"{judged}; not judged: {reasons}" if reasons else judged


def cost_text(cost: Cost) -> str:
    """Calls, money, time."""
    usd = f"${cost.usd:.4f}" if not cost.unpriced else f"${cost.usd:.4f} and {cost.unpriced} unpriced calls"
    parts = [f"{cost.calls} calls bought", f"{cost.cached} from cache", usd]
    if cost.latency is not None:
        parts.append(f"{cost.latency.p50:.2f} s (median), {cost.latency.p95:.2f} s (95 %) a judgement")
    return ", ".join(parts)


def evaluation_text(result: "EvaluationResult") -> str:
    """The summary of an evaluation."""
    lines = [f"Evaluation {result.run_id}: {len(result.rows)} rows, {result.status}"]
    if result.why_stopped:
        lines.append(printable(result.why_stopped))
    for metrics in result.judge_metrics.values():
        lines += ["", f"{metrics.judge}: {coverage_text(metrics)}"]
        lines += [f"  {line}" for line in aligned(figure_rows(metrics))]
    if result.criteria:
        lines += ["", *criteria_lines(result)]
    return "\n".join([*lines, "", cost_text(result.costs.total)])


def criteria_lines(result: "EvaluationResult") -> list[str]:
    """One line a criterion."""
    return aligned([[one.status, one.criterion, one.why] for one in result.criteria])


def comparison_text(comparison: "EvaluationComparison") -> str:
    """The table of a comparison and what it says."""
    a, b = comparison.a, comparison.b
    head = [f"{b} against {a}: {comparison.n_shared} rows in both"]
    left = [
        f"{count} {what}"
        for count, what in (
            (comparison.only_a, f"only in {a}"),
            (comparison.only_b, f"only in {b}"),
            (comparison.changed, "with other inputs"),
        )
        if count
    ]
    if left:
        head.append(f"left out: {', '.join(left)}")
    lines = [*head, ""]
    for one in comparison.judges:
        p = f"p = {_p(one.p_value)}" if one.p_value is None or one.p_value >= 0.001 else "p < 0.001"
        corrected = f", with Holm's correction {_p(one.p_adjusted)}" if len(comparison.judges) > 1 else ""
        tested = f"; {one.test}: {p}{corrected}" if one.test else ""
        lines.append(printable(f"{one.judge}: {one.n_pairs} rows that both judged{tested}"))
        rows = [["", a, b, "difference"]]
        rows += [
            [shift.name, shift.a.text("number"), shift.b.text("number"), shift.difference.text("number")]
            for shift in one.differences
        ]
        lines += [f"  {line}" for line in aligned(rows)]
        lines += [printable(one.verdict), ""]
    lines += [printable(note) for note in comparison.notes]
    return "\n".join(lines).rstrip()


def _p(value: float | None) -> str:
    if value is None:
        return "none"
    return f"{value:.3f}" if value >= 0.001 else "< .001"
