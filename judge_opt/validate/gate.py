"""The gate: a new judge takes the old one's place only where held-out labels show that it is better.

The default is to keep what there is. Whatever cannot be computed counts against promotion.
"""

from typing import Literal

from pydantic import Field

from judge_opt.core.errors import UsageError
from judge_opt.validate.compare import Comparison
from judge_opt.validate.figures import Figure, Strict
from judge_opt.validate.metrics import HIGHER_IS_BETTER, TITLES, MetricName, heading


class GatePolicy(Strict):
    """What a promotion asks for.

    Attributes:
        alpha: one-sided level of the paired test: the chance of promoting a judge that is no better.
        min_coverage: least share of the rows that the new judge must have scored.
        min_rows: least number of rows that both judges scored.
        metric: what is compared; None for the value type's `primary_metric`.
    """

    alpha: float = Field(default=0.05, gt=0, lt=1)
    min_coverage: float = Field(default=0.95, ge=0, le=1)
    min_rows: int = Field(default=30, ge=1)
    metric: MetricName | None = None


class Check(Strict):
    """One condition of the gate. `value` and `goal` are None where they could not be computed, and then the
    check does not hold."""

    name: Literal["coverage", "rows", "better_than_before", "better_than_constant"]
    holds: bool
    value: float | None
    op: Literal[">=", ">", "<="]
    goal: float | None
    text: str


class Decision(Strict):
    """Promoted or not.

    Attributes:
        reasons: in plain words; where refused only the checks that failed.
        checks: every check, held or not.
    """

    promoted: bool
    reasons: list[str]
    checks: list[Check]


def decide(
    coverage_after: float | None,
    comparison: Comparison,
    after: Figure,
    constant: float | None,
    policy: GatePolicy | None = None,
) -> Decision:
    """Promote only if every check holds.

    Args:
        coverage_after: share of the rows that the new judge scored; None for no rows.
        comparison: new against old on the rows that both scored, in the policy's metric.
        after: the metric of the new judge on its scored rows.
        constant: what the constant baseline has in the metric; 0 for every chance-corrected one.

    Raises:
        UsageError: `comparison` is in another metric than the policy's, or lower is better in it.
    """
    policy = policy or GatePolicy()
    metric = comparison.metric
    if metric != (policy.metric or metric) or metric not in HIGHER_IS_BETTER:
        raise UsageError(f"The gate cannot decide on {metric}.", f"Compare on {policy.metric}.")
    checks = [
        _coverage(coverage_after, policy.min_coverage),
        Check(
            name="rows",
            holds=comparison.n_pairs >= policy.min_rows,
            value=comparison.n_pairs,
            op=">=",
            goal=policy.min_rows,
            text=f"Both judges scored {comparison.n_pairs} rows; {policy.min_rows} are needed.",
        ),
        _better_than_before(comparison, policy.alpha),
        _better_than_constant(after, constant, metric),
    ]
    failed = [check.text for check in checks if not check.holds]
    return Decision(promoted=not failed, reasons=failed or [check.text for check in checks], checks=checks)


def _coverage(value: float | None, goal: float) -> Check:
    if value is None:
        text = "There are no rows to score."
    else:
        text = f"The new judge scored {100 * value:.1f} % of the rows; at least {100 * goal:g} % are needed."
    holds = value is not None and value >= goal
    return Check(name="coverage", holds=holds, value=value, op=">=", goal=goal, text=text)


def _better_than_before(comparison: Comparison, alpha: float) -> Check:
    p, gap, title = comparison.p_value, comparison.difference.value, heading(comparison.metric)
    holds = p is not None and gap is not None and gap > 0 and p <= alpha
    if p is None or gap is None:
        text = f"The judges could not be compared: {comparison.reason or 'not defined.'}"
    else:
        verdict = (
            "shows that the new judge is better" if holds else "does not show that the new judge is better"
        )
        text = (
            f"{title} changed by {gap:+.2f} on {comparison.n_pairs} shared rows; the paired test {verdict} "
            f"(one-sided {p_text(p)}, level {alpha:g})."
        )
    return Check(name="better_than_before", holds=holds, value=p, op="<=", goal=alpha, text=text)


def _better_than_constant(after: Figure, constant: float | None, metric: MetricName) -> Check:
    holds = after.low is not None and constant is not None and after.low > constant
    if after.low is None or constant is None:
        text = (
            f"No lower bound for the new judge's {TITLES[metric]}: {after.reason or 'no constant baseline.'}"
        )
    else:
        word = "above" if holds else "not above"
        text = (
            f"{heading(metric)} of the new judge is at least {after.low:.2f} ({100 * after.confidence:g} % "
            f"interval), {word} the {constant:.2f} of always giving one label."
        )
    return Check(name="better_than_constant", holds=holds, value=after.low, op=">", goal=constant, text=text)


def p_text(p: float) -> str:
    """A p-value for people, never as 0: "p = 0.012", "p < 0.001"."""
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"
