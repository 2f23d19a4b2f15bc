"""What a gate can ask for beyond "better than the judge that is there", and the policy as a YAML file."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from judge_opt.core.errors import ConfigError, NotFound
from judge_opt.core.text import nearest
from judge_opt.validate.bias import BiasTest
from judge_opt.validate.compare import Comparison
from judge_opt.validate.corrected_estimate import Corrected
from judge_opt.validate.equivalence import MarginTest
from judge_opt.validate.figures import Figure
from judge_opt.validate.gate import Check, GatePolicy, p_text
from judge_opt.validate.metrics import MetricName, heading
from judge_opt.validate.repeats import Stability


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was measured besides the comparison; None or empty where it was not.

    Attributes:
        agreement: plain agreement of the new judge.
        lean: mean of judge minus human.
        margin: the test of non-inferiority with the policy's margin, in the gate's metric.
        biases: audits that were run.
        consistency: share of pairs with one verdict in both orders.
        corrected: the rate or mean after correction.
        stability: repeats of the new judge.
        learned_from: how many of the rows the judge learned from.
    """

    agreement: Figure | None = None
    lean: Figure | None = None
    margin: MarginTest | None = None
    biases: Sequence[BiasTest] = field(default_factory=tuple)
    consistency: Figure | None = None
    corrected: Corrected | None = None
    stability: Stability | None = None
    learned_from: int | None = None


def further_checks(
    policy: GatePolicy, found: Evidence, after: Figure, metric: MetricName, comparison: Comparison | None
) -> list[Check]:
    """The checks that the policy asks for, in its order."""
    checks = []
    if policy.min_agreement is not None:
        checks.append(_least("agreement", "Agreement", found.agreement, policy.min_agreement))
    if policy.min_metric is not None:
        checks.append(_least("metric", heading(metric), after, policy.min_metric))
    if policy.margin is not None:
        checks.append(_margin(found.margin, policy.margin, policy.level))
    if policy.max_lean is not None:
        checks.append(_within("lean", "Judge minus human", found.lean, policy.max_lean))
    for name, most in policy.max_bias.items():
        checks.append(_bias(name, {one.name: one for one in found.biases}.get(name), most))
    if policy.min_consistency is not None:
        checks.append(
            _least(
                "consistency",
                "The share with one verdict in both orders",
                found.consistency,
                policy.min_consistency,
            )
        )
    if policy.max_rate_width is not None:
        checks.append(_width(found.corrected, policy.max_rate_width))
    if policy.above_noise:
        checks.append(_above_noise(found.stability, comparison))
    if policy.no_leakage:
        checks.append(_no_leakage(found.learned_from))
    return checks


def load_policy(path: Path) -> GatePolicy:
    """A gate from a YAML file: the keys are `GatePolicy`'s.

    Raises:
        NotFound: no such file.
        ConfigError: it is no YAML, has an unknown key, or a value that is not allowed; one line.
    """
    if not path.is_file():
        raise NotFound(f"There is no gate {path}.", "See docs/validation.md for an example.")
    try:
        data: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ConfigError(f"{path.name} is not YAML.", "Check its indentation and quotes.") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path.name} holds no keys.", "See docs/validation.md for an example.")
    known = list(GatePolicy.model_fields)
    for key in data:
        if key not in known:
            raise ConfigError(
                f"{path.name}: unknown key {str(key)[:60]!r}.{nearest(str(key), known)}",
                f"Known: {', '.join(known)}.",
            )
    try:
        return GatePolicy.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path.name}: {place}: {first['msg']}.", "See docs/validation.md.") from None


def _least(name: str, title: str, figure: Figure | None, goal: float) -> Check:
    low = None if figure is None else figure.low
    if figure is None or low is None:
        why = "it was not measured." if figure is None else figure.reason or "not defined."
        text = f"{title} has no lower bound: {why}"
    else:
        text = (
            f"{title} is at least {low:.2f} ({100 * figure.confidence:g} % interval); {goal:g} is asked for."
        )
    return Check(name=name, holds=low is not None and low >= goal, value=low, op=">=", goal=goal, text=text)


def _within(name: str, title: str, figure: Figure | None, most: float) -> Check:
    reach = None
    if figure is not None and figure.low is not None and figure.high is not None:
        reach = max(abs(figure.low), abs(figure.high))
    if figure is None or reach is None:
        why = "it was not measured." if figure is None else figure.reason or "not defined."
        text = f"{title} has no interval: {why}"
    else:
        text = f"{title} is {figure.text()}; within {most:g} to either side is asked for."
    return Check(
        name=name, holds=reach is not None and reach <= most, value=reach, op="<=", goal=most, text=text
    )


def _margin(found: MarginTest | None, margin: float, level: float) -> Check:
    p = None if found is None else found.p_non_inferior
    if found is None or p is None:
        text = (
            f"Whether it is worse could not be tested: {'not measured.' if found is None else found.reason}"
        )
    else:
        shows = "shows" if p <= level else "does not show"
        text = (
            f"The data {shows} that it is less than {margin:g} worse in {found.metric} "
            f"({found.difference:+.2f}; one-sided {p_text(p)}, level {level:g})."
        )
    return Check(
        name="not_worse_than_before",
        holds=p is not None and p <= level,
        value=p,
        op="<=",
        goal=level,
        text=text,
    )


def _bias(name: str, found: BiasTest | None, most: float) -> Check:
    title = f"Audit {name}"
    if found is None:
        text = f"{title} was not run."
        return Check(name=f"bias_{name}", holds=False, value=None, op="<=", goal=most, text=text)
    directed = found.shift.value is not None
    figure = found.shift if directed else found.changed
    what = f"{title}: {'shift' if directed else 'share of verdicts changed'}"
    return _within(f"bias_{name}", what, figure, most)


def _width(found: Corrected | None, most: float) -> Check:
    width = None if found is None or found.low is None or found.high is None else found.high - found.low
    if found is None or width is None:
        text = f"There is no corrected rate: {'not measured.' if found is None else found.reason}"
    else:
        text = f"The corrected rate is {found.text()}: {width:.2f} wide; at most {most:g} is asked for."
    holds = width is not None and width <= most
    return Check(name="rate_width", holds=holds, value=width, op="<=", goal=most, text=text)


def _above_noise(found: Stability | None, comparison: Comparison | None) -> Check:
    floor = None if found is None else found.floor
    gain = None if comparison is None else comparison.difference.value
    if floor is None or gain is None:
        text = "The judge was not asked repeatedly, so its noise floor is not known."
    else:
        text = f"The gain of {gain:+.3f} against a noise floor of {floor:.3f} from pass to pass."
    holds = floor is not None and gain is not None and gain > floor
    return Check(name="above_noise", holds=holds, value=gain, op=">", goal=floor, text=text)


def _no_leakage(learned_from: int | None) -> Check:
    if learned_from is None:
        text = "It is not known what the judge learned from."
    else:
        text = f"The judge learned from {learned_from} of these rows."
    return Check(name="no_leakage", holds=learned_from == 0, value=learned_from, op="<=", goal=0, text=text)
