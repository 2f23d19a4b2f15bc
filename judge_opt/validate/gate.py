"""The gate: a new judge takes the old one's place only where held-out labels show that it may.

The default is to keep what there is. Whatever cannot be computed counts against promotion. `GatePolicy` is what a
YAML file can ask for (`load_policy`); what goes beyond the comparison of two judges is in gate_checks.py.
"""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from judge_opt.core.errors import UsageError
from judge_opt.validate.compare import Comparison
from judge_opt.validate.figures import Figure, Strict
from judge_opt.validate.metrics import HIGHER_IS_BETTER, TITLES, MetricName, heading

if TYPE_CHECKING:
    from judge_opt.validate.gate_checks import Evidence


class GatePolicy(Strict):
    """What a promotion asks for. None asks for nothing.

    Attributes:
        alpha: one-sided level of the paired test: the chance of promoting a judge that is no better.
        candidates: judges that were tried on these rows; alpha is divided by their number (Bonferroni).
        min_coverage: least share of the rows that the new judge must have scored.
        min_rows: least number of rows that count (with a judge to replace: that both scored).
        metric: what is compared; None for the value type's `primary_metric`.
        min_agreement, min_metric: what the lower end of the interval of plain agreement, or of the metric,
            must reach.
        margin: None: the new judge must be better. Else it must not be worse than the old one by `margin`
            or more in the metric, at level alpha: for a cheaper judge.
        max_lean: both ends of the interval of the mean of judge minus human must lie within this.
        max_bias: name of an audit to the largest shift of it that the interval may reach (for changes
            without a direction: share of verdicts changed). An audit that was not run fails.
        min_consistency: what the lower end of the share of pairs with one verdict in both orders must reach.
        max_rate_width: how wide the interval of the corrected rate may be.
        above_noise: the gain must exceed the judge's own wavering; needs repeats.
        no_leakage: it must be known that the judge learned from none of the rows.
    """

    alpha: float = Field(default=0.05, gt=0, lt=1)
    candidates: int = Field(default=1, ge=1)
    min_coverage: float = Field(default=0.95, ge=0, le=1)
    min_rows: int = Field(default=30, ge=1)
    metric: MetricName | None = None
    min_agreement: float | None = Field(default=None, ge=0, le=1)
    min_metric: float | None = Field(default=None, ge=-1, le=1)
    margin: float | None = Field(default=None, gt=0, lt=1)
    max_lean: float | None = Field(default=None, gt=0)
    max_bias: dict[str, float] = Field(default_factory=dict)
    min_consistency: float | None = Field(default=None, ge=0, le=1)
    max_rate_width: float | None = Field(default=None, gt=0, le=1)
    above_noise: bool = False
    no_leakage: bool = False

    @property
    def level(self) -> float:
        """Of one candidate's test."""
        return self.alpha / self.candidates


class Check(Strict):
    """One condition of the gate: `coverage`, `rows`, `better_than_before` or `not_worse_than_before`,
    `better_than_constant`, and those of gate_checks.py. `value` and `goal` are None where they could not be
    computed, and then the check does not hold."""

    name: str
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
    comparison: Comparison | None,
    after: Figure,
    constant: float | None,
    policy: GatePolicy | None = None,
    *,
    metric: MetricName | None = None,
    evidence: "Evidence | None" = None,
) -> Decision:
    """Promote only if every check holds.

    Args:
        coverage_after: share of the rows that the new judge scored; None for no rows.
        comparison: new against old on the rows that both scored, in the policy's metric; None where there
            is no judge to replace.
        after: the metric of the new judge on its scored rows.
        constant: what the constant baseline has in the metric; 0 for every chance-corrected one.
        metric: of `after`; needed without a comparison.
        evidence: what else was measured, for what else the policy asks for.

    Raises:
        UsageError: `comparison` is in another metric than the policy's, or lower is better in it; or the
            policy needs a judge to replace and there is none.
    """
    from judge_opt.validate.gate_checks import Evidence, further_checks

    policy = policy or GatePolicy()
    metric = comparison.metric if comparison is not None else metric or policy.metric
    if metric is None or metric != (policy.metric or metric) or metric not in HIGHER_IS_BETTER:
        raise UsageError(f"The gate cannot decide on {metric}.", f"Compare on {policy.metric}.")
    if comparison is None and (policy.margin is not None or policy.above_noise):
        raise UsageError("The gate's margin and above_noise need a judge to replace.", "Name one.")
    n, who = (comparison.n_pairs, "Both judges") if comparison is not None else (after.n, "The judge")
    checks = [
        _coverage(coverage_after, policy.min_coverage),
        Check(
            name="rows",
            holds=n >= policy.min_rows,
            value=n,
            op=">=",
            goal=policy.min_rows,
            text=f"{who} scored {n} rows; {policy.min_rows} are needed.",
        ),
    ]
    if comparison is not None and policy.margin is None:
        checks.append(_better_than_before(comparison, policy.level))
    checks += [
        _better_than_constant(after, constant, metric),
        *further_checks(policy, evidence or Evidence(), after, metric, comparison),
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
