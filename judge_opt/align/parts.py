"""Which parts of memory are switched on."""

from collections.abc import Callable, Mapping

from judge_opt.align.contract import Component
from judge_opt.align.forms import Compared, Form, Forms
from judge_opt.align.objective import metric_for, metric_name
from judge_opt.core.values import ValueType


def choose(
    forms: Forms,
    best: Form,
    told: Mapping[str, tuple[Compared, bool]],
    value_type: ValueType,
    warn: Callable[[str], None],
) -> tuple[Form, list[Component]]:
    """The form whose parts help, if it surely agrees better than the untouched judge; else the first other
    that does; else the untouched judge.

    Args:
        best: of all parts that help by themselves.
        told: part to what it brings, and whether it helps.

    Returns:
        the form, and what is said of each part.
    """
    metric = metric_for(value_type, name=metric_name(value_type))
    components: list[Component] = []
    plain = forms.made[()]
    chosen, reason = plain, "no part of memory made the judge surely better"
    for form in [best, *(f for f in forms.ranked() if f is not best)]:
        if not form.parts:
            continue
        verdict = forms.harmless(form, metric)
        if verdict.keep:
            chosen, reason = form, verdict.why
            break
        if form is best:
            reason = verdict.why
    table = forms.table(metric)
    for part, (found, stays) in told.items():
        on = part in chosen.parts
        with_it = (
            chosen
            if on
            else max(
                (f for f in forms.made.values() if part in f.parts and f.name in table),
                key=lambda f: table[f.name][0],
                default=plain,
            )
        )
        rest = forms.made.get(tuple(p for p in with_it.parts if p != part), plain)
        sign = "+" if found.gain >= 0 else "−"
        said = f"{sign}{abs(found.gain):.3f} ± {found.error:.3f} log probability a row over {found.rows} rows"
        why = said if stays == on else f"{said}; {chosen.name!r} was chosen: {reason}"
        score, without = table.get(with_it.name), table.get(rest.name)
        components.append(
            Component(
                part,
                on,
                metric.name,
                None if score is None else score[0],
                None if without is None else without[0],
                found.rows,
                why,
            )
        )
    for name in (f.name for f in forms.made.values() if not forms.covers(f)):
        warn(f"{name!r} left too many rows without a verdict and was not considered")
    return chosen, components
