"""Juries: several judges of one question, and the rule that makes one verdict of theirs.

    jury = make_jury("helpful", [strict, lenient, other_model], vote="majority")
    feedback = jury(outputs="...")
    feedback.metadata["jurors"]          # what each said, and how far they disagree

A jury is a judge: it is batched, aligned, validated, registered and compiled like one. Its memory's
guidelines and examples are shown to every juror.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, cast, get_args

from judge_opt.core.errors import DataError, UsageError
from judge_opt.core.results import Judgement, Scored, Unscored, Value
from judge_opt.core.text import nearest
from judge_opt.core.values import ValueType
from judge_opt.judges.combine import combine, default_rule
from judge_opt.judges.item import Parts
from judge_opt.judges.judge import Judge
from judge_opt.judges.make import check_name
from judge_opt.judges.template import Template, Variable
from judge_opt.labels.examples import FIELDS, LabelledExample
from judge_opt.memory.guidelines import Guideline

Vote = Literal["majority", "weighted", "median", "mean", "any", "all", "minimum", "maximum"]
_ENSEMBLES: dict[str, Vote] = {
    "majority_vote": "majority",
    "agg_any": "any",
    "agg_all": "all",
    "mean": "mean",
    "minimum": "minimum",
    "maximum": "maximum",
}
"""MLflow's names of the rules."""


class Jury(Judge):
    """Made by `make_jury`.

    Attributes:
        jurors: ordinary judges, of one value type.
        vote: the rule.
        weights: one a juror; equal unless `vote` is "weighted".
        tie: the verdict of a tied majority, or None.
        quorum: the share of the weight that must have voted.
    """

    kind = "jury"

    def __init__(
        self,
        name: str,
        jurors: Sequence[Judge],
        value_type: ValueType,
        *,
        vote: Vote,
        weights: Sequence[float] | None = None,
        tie: Value | None = None,
        quorum: float = 0.5,
        **made: Any,
    ) -> None:
        made.setdefault("template", _united([juror.template for juror in jurors]))
        made.setdefault("model", jurors[0].model)
        super().__init__(name, value_type=value_type, **made)
        self.jurors = list(jurors)
        self.vote: Vote = vote
        self.weights = [float(w) for w in weights] if weights is not None else None
        self.tie = tie
        self.quorum = quorum

    @property
    def instructions(self) -> str:
        """Every juror's, under its name."""
        return "\n\n".join(f"{juror.name}: {juror.instructions}" for juror in self.jurors)

    def named_predictors(self) -> list[tuple[str, Any]]:
        """The jurors' predictors: what DSPy's optimizers rewrite."""
        return [(f"jurors[{i}].predict", juror.predict) for i, juror in enumerate(self.jurors)]

    def named_parameters(self) -> list[tuple[str, Any]]:
        return self.named_predictors()

    def ask(
        self,
        parts: Mapping[str, Any],
        *,
        guidelines: Sequence[Guideline] = (),
        demos: Sequence[Mapping[str, Any]] = (),
    ) -> Judgement:
        """Ask the jurors one after another, and make one judgement of theirs."""
        said: list[Judgement] = []
        for juror in self.jurors:
            own = self._own(juror, parts)
            said.append(
                own if isinstance(own, Unscored) else juror.ask(own, guidelines=guidelines, demos=demos)
            )
        return self._verdict(said)

    async def aask(
        self,
        parts: Mapping[str, Any],
        *,
        guidelines: Sequence[Guideline] = (),
        demos: Sequence[Mapping[str, Any]] = (),
    ) -> Judgement:
        """As `ask`, all jurors at the same time."""

        async def one(juror: Judge) -> Judgement:
            own = self._own(juror, parts)
            return (
                own
                if isinstance(own, Unscored)
                else await juror.aask(own, guidelines=guidelines, demos=demos)
            )

        return self._verdict(await asyncio.gather(*[one(juror) for juror in self.jurors]))

    def weigh(self, labelled: Sequence[LabelledExample], *, concurrency: int = 8) -> "Jury":
        """A jury whose weights are the jurors' reliability on labelled rows; this one is not changed.

        The weight of a juror that is right in a share p of the rows, with k labels to choose from, is the
        log odds log((k - 1) p / (1 - p)), which is the best rule for independent jurors (Nitzan and
        Paroush, 1982), with p smoothed by half a row on either side; a juror no better than chance weighs
        nothing. Rows that a juror did not judge say nothing about it. Keep these rows out of validation.

        Raises:
            DataError: a juror judged fewer than 10 rows, or none of the jurors is better than chance.
        """
        rows = [row for row in labelled if row.gold is not None]
        labels = len(self.value_type.choices())
        if labels < 2:
            raise UsageError("Only jurors who choose among labels can be weighed.", 'Use vote="mean".')
        weights = []
        for juror in self.jurors:
            said = juror.batch(rows, concurrency=concurrency, not_groups=[row.group for row in rows])
            right = [
                f.result.value == row.gold
                for f, row in zip(said, rows, strict=True)
                if isinstance(f.result, Scored)
            ]
            if len(right) < 10:
                raise DataError(
                    f"The juror {juror.name!r} judged {len(right)} labelled rows; 10 are needed to weigh it.",
                    "Label more rows, or see why it cannot judge them.",
                )
            share = (sum(right) + 0.5) / (len(right) + 1)
            weights.append(max(0.0, math.log((labels - 1) * share / (1 - share))))
        if not any(weights):
            raise DataError(
                "No juror agrees with the labels more than chance would.", "Align the jurors first."
            )
        other = cast(Jury, self.copy())
        other.vote, other.weights = "weighted", weights
        return other

    def extra_state(self) -> dict[str, Any]:
        from judge_opt.judges.stored import dump_judge

        jurors = []
        for juror in self.jurors:
            if juror.memory is not None:
                raise UsageError(
                    f"The juror {juror.name!r} has a memory of its own, which a stored jury cannot hold.",
                    "Align the jury instead, or use jurors without memory.",
                )
            jurors.append(dump_judge(juror)[0])
        own = {"vote": self.vote, "weights": self.weights, "tie": self.tie, "quorum": self.quorum}
        return {**own, "jurors": jurors}

    @classmethod
    def from_state(cls, extra: Mapping[str, Any], **made: Any) -> "Jury":
        from judge_opt.judges.stored import load_judge

        jurors = [load_judge(state, {}) for state in extra["jurors"]]
        own = {key: extra[key] for key in ("vote", "weights", "tie", "quorum")}
        return cls(made.pop("name"), jurors, made.pop("value_type"), **own, **made)

    def _made_again(self) -> "Jury":
        return Jury(
            self.name,
            [juror.copy() for juror in self.jurors],
            self.value_type,
            vote=self.vote,
            weights=self.weights,
            tie=self.tie,
            quorum=self.quorum,
            template=self.template,
            model=self.model,
            description=self.description,
            rationale=self.rationale,
            options=self.options,
        )

    def _own(self, juror: Judge, parts: Mapping[str, Any]) -> Mapping[str, Any] | Unscored:
        """What one juror is shown: its own parts of the item, since a check wants a whole trace where a
        model is shown a view of it."""
        if isinstance(parts, Parts) and parts.item:
            return juror.parts(parts.item)
        return {variable.name: parts[variable.name] for variable in juror.template.variables}

    def _verdict(self, said: Sequence[Judgement]) -> Judgement:
        rule = "majority" if self.vote == "weighted" else self.vote
        weights = self.weights if self.vote == "weighted" else None
        judged = combine(said, self.value_type, rule=rule, weights=weights, tie=self.tie, quorum=self.quorum)
        jurors = [_told(juror, one) for juror, one in zip(self.jurors, said, strict=True)]
        return replace(judged, details={**judged.details, "jurors": jurors})


def make_jury(
    name: str,
    judges: Sequence[Judge],
    *,
    vote: Vote | None = None,
    weights: Sequence[float] | None = None,
    tie: Value | None = None,
    quorum: float = 0.5,
    description: str = "",
) -> Jury:
    """Make one judge of several.

    Args:
        name: as of `make_judge`.
        judges: two or more, of one value type: other models, other wordings, or both.
        vote: majority; weighted (by `weights`, or see `Jury.weigh`); median (of ordered labels); mean (of
            numbers); any or all (of bool); minimum or maximum (of ordered labels and numbers). None: median
            for ordered labels, mean for numbers, else majority.
        weights: one a juror, 0 or more, for "weighted".
        tie: the verdict where a majority ties; None: no verdict.
        quorum: share of the jurors, in (0, 1], who must have given a verdict. A juror without one is no
            vote.

    Raises:
        UsageError: fewer than two judges, different value types, or a rule that does not fit them.
    """
    check_name(name)
    if len(judges) < 2:
        raise UsageError(f"A jury of {len(judges)} is none.", "Give two judges or more.")
    value_type = judges[0].value_type
    for judge in judges[1:]:
        if judge.value_type != value_type:
            raise UsageError(
                f"The jurors {judges[0].name!r} and {judge.name!r} answer different questions: "
                f"{value_type.describe()}; {judge.value_type.describe()}.",
                "Give all jurors one feedback_value_type.",
            )
    rule: Vote = vote or default_rule(value_type)
    _check_rule(rule, value_type, weights, len(judges))
    if not 0 < quorum <= 1:
        raise UsageError(f"quorum={quorum} is no share.", "Give a number above 0, at most 1.")
    if tie is not None:
        tie = value_type.check_label(tie, "tie")
    return Jury(
        name,
        judges,
        value_type,
        vote=rule,
        weights=weights,
        tie=tie,
        quorum=quorum,
        description=description,
    )


def make_scorer_ensemble(
    *, name: str, scorers: Sequence[Judge], ensemble_fn: str = "majority_vote", description: str = ""
) -> Jury:
    """MLflow's name for `make_jury`.

    Args:
        name, scorers, description: as `name`, `judges` and `description` of `make_jury`.
        ensemble_fn: majority_vote, mean, minimum, maximum, agg_any or agg_all.

    Raises:
        UsageError: see `make_jury`; or the rule is not known (a function of one's own has no place in a
            stored judge).
    """
    if ensemble_fn not in _ENSEMBLES:
        raise UsageError(
            f"ensemble_fn={ensemble_fn!r} is not known.{nearest(str(ensemble_fn), _ENSEMBLES)}",
            f"Use one of: {', '.join(_ENSEMBLES)}.",
        )
    return make_jury(name, scorers, vote=_ENSEMBLES[ensemble_fn], description=description)


def _check_rule(vote: Vote, value_type: ValueType, weights: Sequence[float] | None, n: int) -> None:
    if vote not in get_args(Vote):
        raise UsageError(f"vote={vote!r} is not known.", f"Use one of: {', '.join(get_args(Vote))}.")
    fits = {
        "any": value_type.kind == "bool",
        "all": value_type.kind == "bool",
        "median": value_type.scale == "ordered",
        "minimum": value_type.scale in ("ordered", "numeric"),
        "maximum": value_type.scale in ("ordered", "numeric"),
        "mean": value_type.kind in ("int", "float") and not value_type.optional,
    }
    if not fits.get(vote, value_type.scale in ("nominal", "ordered")):
        raise UsageError(
            f"vote={vote!r} does not fit a verdict that is {value_type.describe()}.",
            "any and all want bool, median ordered labels, mean numbers, minimum and maximum either of these, "
            "majority labels.",
        )
    if weights is not None and (
        vote != "weighted" or len(weights) != n or min(weights) < 0 or not math.isfinite(sum(weights))
    ):
        raise UsageError(
            f"{len(weights)} weights for {n} jurors with vote={vote!r}.",
            'Give vote="weighted" and one finite weight, 0 or more, a juror.',
        )


def _united(templates: Sequence[Template]) -> Template:
    """A template that names what any juror needs: what the memory of a jury embeds and shows."""
    variables: dict[str, Variable] = {}
    for template in templates:
        for variable in template.variables:
            variables.setdefault(variable.name, variable)
    ordered = sorted(variables.values(), key=lambda v: FIELDS.index(v.root))
    slots = []
    for variable in ordered:
        default = f' or "{variable.default}"' if variable.default is not None else ""
        slots.append(f"{{{{ {variable.name}{default} }}}}")
    return Template("\n".join(slots), tuple(ordered))


def _told(juror: Judge, judged: Judgement) -> dict[str, Any]:
    if isinstance(judged, Scored):
        return {
            "juror": juror.name,
            "model": juror.model,
            "value": juror.value_type.text_of(judged.value),
            "rationale": judged.rationale,
            "confidence": judged.confidence,
        }
    return {"juror": juror.name, "model": juror.model, "unscored": f"{judged.reason}: {judged.detail}"}
