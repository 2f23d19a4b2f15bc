"""Chain: several optimizers, each on the judge that the one before returned.

    Chain([GEPA(), MemAlign(), Calibrate()]).align(judge, train)

What a step learned stays: instructions, examples, memory and calibration are different parts of a judge, and
each optimizer changes its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from judge_opt.align.contract import AlignmentResult, Callback, Event, estimate_calls
from judge_opt.align.lineage import settings_of
from judge_opt.align.named import make_optimizer
from judge_opt.align.running import alignment
from judge_opt.core.errors import BudgetExceeded, UsageError
from judge_opt.judges.judge import Judge
from judge_opt.labels.examples import LabelledExample
from judge_opt.llm.budget import Budget


@dataclass(frozen=True)
class Chain:
    """See the module's text.

    Attributes:
        steps: optimizers; or, as in a configuration, mappings with `name` and `settings`.
    """

    steps: Sequence[Any]

    def __post_init__(self) -> None:
        made = []
        for step in self.steps:
            if isinstance(step, str):
                step = {"name": step}
            if isinstance(step, Mapping):
                step = make_optimizer(str(step.get("name")), step.get("settings"))
            if not callable(getattr(step, "align", None)):
                raise UsageError(f"{step!r} is no optimizer.", "Give optimizers, or their names.")
            made.append(step)
        if not made:
            raise UsageError("A chain without steps does nothing.", "Use NoOp() for that.")
        object.__setattr__(self, "steps", tuple(made))

    @property
    def name(self) -> str:
        return "chain"

    def settings(self) -> dict[str, Any]:
        """Each step's name and settings."""
        return {"steps": [{"name": step.name, "settings": settings_of(step)} for step in self.steps]}

    def estimate(self, n_train: int) -> tuple[int, int]:
        """The sums; (0, 0) where one of them does not say."""
        said = [estimate_calls(step, n_train) for step in self.steps]
        known = all(most or step.name == "noop" for step, (_, most) in zip(self.steps, said, strict=True))
        return (sum(low for low, _ in said), sum(most for _, most in said)) if known else (0, 0)

    def align(
        self,
        judge: Judge,
        train: Sequence[LabelledExample],
        *,
        valid: Sequence[LabelledExample] | None = None,
        budget: Budget | None = None,
        seed: int = 0,
        callbacks: Sequence[Callback] = (),
    ) -> AlignmentResult:
        """Each step in turn, all of them in one budget. Where it is used up, what the finished steps made is
        returned with `stopped="budget"`.

        Raises:
            BudgetExceeded: within the first step.
            JudgeOptError: as the steps.
        """
        with alignment(self, judge, train, valid, budget, seed, callbacks) as run:
            now, stopped = judge, ""
            done: list[tuple[str, AlignmentResult]] = []
            for number, step in enumerate(self.steps, 1):
                place = f"{number}/{len(self.steps)} {step.name}"
                told = [_named(callback, place) for callback in callbacks]
                try:
                    result = step.align(now, train, valid=valid, seed=seed, callbacks=told)
                except BudgetExceeded as error:
                    if not done:
                        raise
                    run.warn(f"{place} was not finished: {error.message}")
                    stopped = "budget"
                    break
                now = result.judge
                done.append((place, result))
                run.keep(run.result(now, **_joined(done)))
                if result.stopped == "budget":
                    stopped = "budget"
                    break
            return run.result(now, stopped=stopped, **_joined(done))


def _joined(done: Sequence[tuple[str, AlignmentResult]]) -> dict[str, Any]:
    """What the steps found, each under its place."""
    last = max((i for i, (_, result) in enumerate(done) if result.changed), default=len(done) - 1)
    candidates = []
    for number, (place, result) in enumerate(done):
        for one in result.candidates:
            # The chain's untouched judge is the first step's; a step's choice is the chain's where no later
            # step changed the judge.
            first = number == 0 and one.name == "untouched"
            name = one.name if first else f"{place}: {one.name}"
            candidates.append(replace(one, name=name, chosen=one.chosen and number == last))
    return {
        "components": tuple(
            replace(part, name=f"{place}: {part.name}")
            for place, result in done
            for part in result.components
        ),
        "guidelines": done[-1][1].guidelines
        or next((r.guidelines for _, r in reversed(done) if r.guidelines), ()),
        "history": tuple((f"{place}: {what}", m, s) for place, r in done for what, m, s in r.history),
        "coverage": min(result.coverage for _, result in done),
        "warnings": tuple(f"{place}: {text}" for place, result in done for text in result.warnings),
        "candidates": tuple(candidates),
        "metric": done[-1][1].metric,
    }


def _named(callback: Callback, place: str) -> Callback:
    def told(event: Event) -> None:
        callback(replace(event, phase=f"{place}: {event.phase}"))

    return told
