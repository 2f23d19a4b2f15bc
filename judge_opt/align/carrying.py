"""What becomes of what a judge had learned, where a later alignment finds nothing that is surely better than the
untouched judge.

Labels are never lost: new ones come in and changed ones take the place of the old. What had been learned before
stays switched on, unless the untouched judge is surely better on all rows together; then it is switched off, and
only the labels are kept, for alignments to come. What a person pinned stays in any case.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from judge_opt.align.forms import SURE, Form, Forms
from judge_opt.align.objective import metric_for, metric_name
from judge_opt.align.scoring import no_harm
from judge_opt.memory.fitting import refitted
from judge_opt.memory.guidelines import Guideline
from judge_opt.memory.memory import Memory


@dataclass(frozen=True, slots=True)
class Carried:
    """Attributes:
    memory: what the judge goes on with.
    parts: names of those that are on.
    form: as which they were measured; None where they were not.
    note: what was decided, for people.
    """

    memory: Memory
    parts: tuple[str, ...]
    form: Form | None
    note: str


def carried(
    forms: Forms,
    before: Memory,
    memory: Memory,
    guidelines: Sequence[Guideline],
    evidence: Mapping[str, Mapping[str, Any]],
    read: frozenset[str],
) -> Carried:
    """What a judge goes on with. No model is asked.

    Args:
        forms: of this alignment; none of them is surely better than the untouched judge.
        before: what had been learned.
        memory: the examples as they are now.
        guidelines: as this alignment leaves them, old and new.
        evidence, read: see `Memory`.
    """
    old = {g.text for g in before.guidelines}
    known = tuple(g if g.text in old else _retired(g, "not surely better than without") for g in guidelines)
    made = replace(
        memory, guidelines=known, evidence=dict(evidence), read=read, token_budget=before.token_budget
    )
    parts = _parts(before)
    form = max(
        (f for f in forms.made.values() if f.parts and set(f.parts) <= set(parts)),
        key=lambda f: len(f.parts),
        default=None,
    )
    if form is not None and (why := _harm(forms, form)):
        off = tuple(_retired(g, "the judge is surely better without") for g in known)
        made = replace(made, guidelines=off, shots=0, vote=None, head=None, fusion=None)
        return Carried(made, _parts(made), None, f"what had been learned before is switched off: {why}")
    kept = refitted(replace(made, shots=before.shots, fusion=before.fusion))
    on = _parts(kept)
    note = f"what had been learned before is kept ({', '.join(on)}): it is not surely worse" if on else ""
    return Carried(kept, on, form if on else None, note)


def _parts(memory: Memory) -> tuple[str, ...]:
    """Names of the parts that are on."""
    there = {
        "guidelines": any(g.state == "active" for g in memory.guidelines),
        "examples": memory.shots > 0,
        "fusion": memory.fusion is not None,
    }
    return tuple(name for name, on in there.items() if on)


def _harm(forms: Forms, form: Form) -> str:
    """Why the judge is surely better without a form; "" where it is not."""
    if not forms.covers(form):
        return f"{form.name!r} leaves too many rows without a verdict"
    plain = forms.made[()]
    both = [i for i in form.judged if i in plain.judged]
    metric = metric_for(forms.value_type, name=metric_name(forms.value_type))
    found = no_harm(
        metric,
        [forms.rows[i].example for i in both],
        [form.judged[i] for i in both],
        [plain.judged[i] for i in both],
        forms.value_type,
        seed=forms.seed,
        sure=SURE,
    )
    if not found.keep:
        return ""
    return (
        f"{metric.name} {found.before:.3f} with {form.name!r}, {found.after:.3f} without; "
        f"better without in {found.better:.0%} of resamples of {found.rows} rows"
    )


def _retired(g: Guideline, why: str) -> Guideline:
    if g.state != "active" or g.pinned:
        return g
    return replace(g, state="retired", why=f"{why}; {g.why}" if g.why else why)
