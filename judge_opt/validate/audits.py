"""Bias audits: the judge is really asked about changed items, and the verdicts are paired.

    audit = plan_audit(judge, examples, ["position", "verbosity", "demographic"])
    print(audit.estimate())                     # calls, tokens, dollars: nothing is sent
    for found in run_audit(audit):
        print(found.text(), found.p_value)

Every audit asks about the unchanged item once more (or about the control form), so that the judge's own wavering
is not taken for a bias. Calls go through the session: they are stored, budgeted, and bought once.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from judge_opt.core.errors import UsageError
from judge_opt.core.results import Judgement, Scored, Unscored
from judge_opt.core.text import nearest
from judge_opt.judges.asking import _turned, asking
from judge_opt.judges.item import item_of
from judge_opt.judges.judge import Judge
from judge_opt.judges.template import Variable
from judge_opt.labels.examples import LabelledExample
from judge_opt.llm.forecast import Estimate, estimate
from judge_opt.llm.keys import repeat
from judge_opt.validate.bias import BiasTest, paired_bias
from judge_opt.validate.compare import holm
from judge_opt.validate.perturbations import SHIPPED, Perturbation

POSITION = "position"
Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Forms:
    """What one audit asks about: for each row the two forms, or None where the change does not apply."""

    name: str
    title: str
    before: list[Item | None]
    after: list[Item | None]
    sides: list[str] | None
    turned: bool
    own_control: bool
    directed: bool


@dataclass(frozen=True, slots=True)
class Audit:
    """Items in all their forms, and nothing asked yet. Made by `plan_audit`."""

    judge: Judge
    rows: list[Item]
    groups: list[str]
    forms: list[_Forms]

    @property
    def names(self) -> list[str]:
        return [one.name for one in self.forms]

    def estimate(self, output_tokens: int | None = None) -> Estimate | None:
        """What remains to be bought, in the current session; None where it cannot be known before, since the
        judge recalls examples or asks in several steps. Then `calls` is the number.

        Args:
            output_tokens: tokens of one reply; default: as many as the model may write.
        """
        judge = self.judge
        if type(judge).ask is not Judge.ask or judge.memory is not None or judge.options.samples != 1:
            return None
        found: list[Estimate] = []
        for k, items in self._passes():
            whole = [part for item in items if not isinstance(part := judge.parts(item), Unscored)]
            questions = [next(asking(judge, part)) for part in whole]
            if questions:
                with repeat(k):
                    found.append(
                        estimate(
                            judge.lm(), [one.messages for one in questions], output_tokens,
                            **dict(questions[0].config),
                        )
                    )  # fmt: skip
        prices = [one.usd for one in found]
        known = [usd for usd in prices if usd is not None]
        return Estimate(
            sum(one.calls for one in found),
            sum(one.tokens for one in found),
            sum(known) if len(known) == len(prices) else None,
            sum(one.cached for one in found),
        )

    @property
    def calls(self) -> int:
        """Judgements that are asked for, stored ones among them; each at least one call."""
        return sum(len(items) for _, items in self._passes())

    def _passes(self) -> Iterable[tuple[int, list[Item]]]:
        """Repeat and items of each pass over the judge."""
        yield 0, self.rows
        yield 1, self.rows
        for one in self.forms:
            if not one.own_control:
                continue
            yield 0, [item for item in one.before if item is not None]
        for one in self.forms:
            yield 0, [item for item in one.after if item is not None]


def plan_audit(
    judge: Judge,
    rows: Sequence[LabelledExample] | Sequence[Any],
    audits: Sequence[str | Perturbation] | None = None,
    *,
    target: str | None = None,
    limit: int | None = 100,
) -> Audit:
    """Put the rows into every form that the audits need. Nothing is asked.

    Args:
        rows: labelled examples, or items as for `Judge.batch`.
        audits: names of `SHIPPED`, "position", or perturbations of your own; default: all that apply to this
            judge (position for preferences alone).
        target: dotted path of the text that is changed, such as "outputs.reply"; default: the template's first
            variable below outputs. In a preference it is the first output.
        limit: at most so many rows, the first; None for all.

    Raises:
        UsageError: an unknown audit, one that does not fit, or no text to change.
    """
    pairwise = judge.value_type.kind == "pairwise"
    wanted: list[str | Perturbation] = list(audits or [*([POSITION] if pairwise else []), *SHIPPED])
    kept = list(rows)[:limit]
    items = [_whole(judge, row) for row in kept]
    groups = [str(getattr(row, "group", i)) for i, row in enumerate(kept)]
    variables = _targets(judge, target, pairwise)
    forms = []
    for one in wanted:
        if one == POSITION:
            if not pairwise or len(variables) < 2:
                raise UsageError(
                    "The position audit needs a judge of preferences whose template names both outputs.",
                    "Leave it out, or make the judge with preference(...).",
                )
            exchanged = [_exchanged(item, variables[0], variables[1]) for item in items]
            title = "both orders of the two outputs (above 0: whoever stands first gains)"
            # The second output stands first in the exchanged pair.
            second = [judge.value_type.labels[1]] * len(items)
            forms.append(_Forms(POSITION, title, list(items), exchanged, second, True, False, True))
            continue
        change = _known(one)
        after = [_changed(item, variables[0], change.apply) for item in items]
        before: list[Item | None] = list(items)
        if change.control is not None:
            before = [_changed(item, variables[0], change.control) for item in items]
        sides = [judge.value_type.labels[0]] * len(items) if pairwise else None
        forms.append(
            _Forms(
                change.name,
                change.title,
                before,
                after,
                sides,
                False,
                change.control is not None,
                change.directed,
            )
        )
    return Audit(judge, items, groups, forms)


def run_audit(
    audit: Audit,
    *,
    concurrency: int = 8,
    n_boot: int = 2000,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[BiasTest]:
    """Ask, and test each bias on its pairs.

    Args:
        progress: told of (audit, judgements done, in all).

    Raises:
        JudgeOptError: see `Judge.batch`; what was bought is stored, and the same call goes on.
    """
    judge = audit.judge

    def ask(name: str, items: Sequence[Item | None], k: int = 0) -> list[Judgement | None]:
        asked = [item for item in items if item is not None]

        def told(done: int, total: int) -> None:
            if progress is not None:
                progress(name, done, total)

        with repeat(k):
            said = iter(judge.batch(asked, concurrency=concurrency, progress=told))
        return [None if item is None else next(said).result for item in items]

    plain, again = ask("unchanged", audit.rows), ask("asked again", audit.rows, 1)
    out = []
    for one in audit.forms:
        before = ask(f"{one.name}, control", one.before) if one.own_control else plain
        after = ask(one.name, one.after)
        if one.turned:
            after = [_said_of_the_pair(j, judge) for j in after]
        out.append(
            paired_bias(
                one.name, one.title, before, after, audit.groups, judge.value_type,
                again=None if one.own_control else again, sides=one.sides, directed=one.directed,
                n_boot=n_boot, seed=seed,
            )
        )  # fmt: skip
    return out


def adjusted(found: Sequence[BiasTest]) -> list[float | None]:
    """Holm's p-values over the audits that have one: several biases were looked for."""
    p_values = [one.p_value for one in found if one.p_value is not None]
    corrected = iter(holm(p_values))
    return [None if one.p_value is None else next(corrected) for one in found]


def _said_of_the_pair(judged: Judgement | None, judge: Judge) -> Judgement | None:
    return _turned(judged, judge.value_type.labels) if isinstance(judged, Scored) else judged


def _known(one: str | Perturbation) -> Perturbation:
    if isinstance(one, Perturbation):
        return one
    if one not in SHIPPED:
        raise UsageError(
            f"There is no audit {one[:60]!r}.{nearest(one, [POSITION, *SHIPPED])}",
            f"Known: {', '.join([POSITION, *SHIPPED])}.",
        )
    return SHIPPED[one]


def _whole(judge: Judge, row: Any) -> Item:
    return copy.deepcopy(item_of(row))


def _targets(judge: Judge, target: str | None, pairwise: bool) -> list[Variable]:
    found = [v for v in judge.template.variables if v.root in ("outputs", "conversation")]
    if target is not None:
        chosen = [v for v in judge.template.variables if v.name == target]
        if not chosen:
            names = [v.name for v in judge.template.variables]
            raise UsageError(
                f"The template of {judge.name!r} names no {target[:60]!r}.{nearest(target, names)}",
                f"Known: {', '.join(names)}.",
            )
        found = [*chosen, *(v for v in found if v.name != target)]
    if not found:
        raise UsageError(
            f"The template of {judge.name!r} shows no outputs whose text could be changed.",
            "Name the text with target=, such as inputs.question.",
        )
    return found


def _changed(item: Item, at: Variable, change: Callable[[str], str | None]) -> Item | None:
    try:
        text = at.of(item)
    except KeyError:
        return None
    if isinstance(text, dict) and len(text) == 1 and isinstance(only := next(iter(text.values())), str):
        new = change(only)
        return None if new is None else _put(item, at, {next(iter(text)): new})
    if not isinstance(text, str):
        return None
    new = change(text)
    return None if new is None else _put(item, at, new)


def _exchanged(item: Item, one: Variable, other: Variable) -> Item | None:
    try:
        first, second = one.of(item), other.of(item)
    except KeyError:
        return None
    return _put(_put(item, one, second), other, first)


def _put(item: Item, at: Variable, value: Any) -> Item:
    """A copy of the item with another value at a place that it has."""
    out = copy.deepcopy(item)
    if not at.path:
        out[at.root] = value
        return out
    place = out[at.root]
    for step in at.path[:-1]:
        place = place[step]
    place[at.path[-1]] = value
    return out
