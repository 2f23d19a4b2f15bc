"""The loop: an agent's outputs are labelled, a judge learns from that, and the judge rewrites the agent's prompt.

    prepared = prepare_loop(*load_loop(Path("configs/loop.yaml")), Path(".judge_opt"))
    end = run_loop(prepared)

Five steps, each of them something that can be had alone: `evaluate` (run), a queue (label), an experiment (align: it
validates, decides and registers the judge), `optimize_prompts` with its guard (prompts), the registry (register).
What is done stands in `<home>/loops/<id>/state.json`; calls are in the call store. So the same loop again goes on where
it was killed or had to wait, and buys nothing twice.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from judge_opt.align.contract import Event, estimate_calls
from judge_opt.align.named import make_optimizer
from judge_opt.core.errors import (
    EXIT_LABELS_WANTED,
    EXIT_NOT_PROMOTED,
    EXIT_OK,
    DataError,
    IntegrityError,
    UsageError,
)
from judge_opt.core.files import write_text
from judge_opt.core.hashing import file_sha256
from judge_opt.core.killpoints import reach
from judge_opt.evaluation.data import records
from judge_opt.evaluation.rows import Row, read_rows
from judge_opt.evaluation.scorers import make_scorers
from judge_opt.experiments.config import JudgeConfig
from judge_opt.experiments.loop_config import STEPS, LoopConfig, StepName
from judge_opt.judges.judge import Judge
from judge_opt.judges.make import make_judge
from judge_opt.llm.engine import CallEvent
from judge_opt.llm.session import Session
from judge_opt.prompts.guard import Guard
from judge_opt.prompts.objectives import aims_of
from judge_opt.prompts.prompt import parse_reference
from judge_opt.prompts.registered import load_prompt
from judge_opt.prompts.rows import Rows
from judge_opt.prompts.template import check_template, render
from judge_opt.registry.registry import Registry

DO, DONE, SKIP = "to do", "done", "skipped"


@dataclass(frozen=True, slots=True)
class StepPlan:
    """Attributes:
    state: "to do", "done" or "skipped".
    what: in words.
    calls: at most, those in the cache not counted; a reply that cannot be read may be asked for again.
    """

    name: StepName
    state: str
    what: str
    calls: int


@dataclass
class Loop:
    """A loop whose input is in order.

    Attributes:
        asked: rows that the agent runs on for people; `parts` are train, valid and test of the prompts.
        done: step to what came of it, as in `state.json`.
    """

    config: LoopConfig
    loop_id: str
    folder: Path
    base: Path
    home: Path
    judge: Judge
    guard: Guard
    asked: list[Row]
    parts: tuple[list[Row], list[Row], list[Row]]
    skip: frozenset[StepName]
    done: dict[str, Any] = field(default_factory=dict)
    on_event: Callable[[Event], None] = lambda event: None
    on_call: Callable[[CallEvent], None] = lambda call: None

    @property
    def queue(self) -> str:
        return self.config.label.queue or self.loop_id

    @property
    def labels(self) -> Path:
        """The file of labelled rows."""
        given = self.config.label.path
        return self.folder / "labels.jsonl" if given is None else self.base / Path(given).expanduser()

    @property
    def models(self) -> list[tuple[str, str | None]]:
        """Those that may be asked, with their addresses."""
        config, guards = self.config, [one for one in self.guard.judges if isinstance(one, Judge)]
        said = [(config.agent.model, config.agent.base_url), (config.judge.model, config.judge.base_url)]
        said += [(str(one.model), one.base_url) for one in guards]
        if config.prompts.reflection_lm is not None:
            at = config.prompts.reflection_base_url or self.judge.endpoint_of(config.prompts.reflection_lm)
            said.append((config.prompts.reflection_lm, at))
        return list(dict.fromkeys(said))

    def remember(self, step: StepName, found: dict[str, Any]) -> None:
        """Write down that a step is done, at once or not at all."""
        self.done[step] = found
        write_text(self.folder / "state.json", json.dumps({"schema": 1, "done": self.done}, indent=1))
        reach(f"loop.{step}_done")

    def plan(self) -> list[StepPlan]:
        """Every step in order, with what it would do."""
        config, items, size = self.config, len(self.asked), self.config.align.split
        train, test = (n if n >= 1 else round(n * items) for n in (size.train, size.test))
        most = estimate_calls(
            make_optimizer(config.align.optimizer.name, dict(config.align.optimizer.settings)), int(train)
        )[1]
        align = int(most + 2 * test + (config.align.optimizer.name != "noop") * train)
        limit, sizes = config.align.budget.calls, [len(part) for part in self.parts]
        told: dict[StepName, tuple[str, int]] = {
            "run": (f"the agent on {items} inputs, and the judge on its outputs", 2 * items),
            "label": (f"{config.label.raters} people label each of {items} outputs: queue {self.queue}", 0),
            "align": (
                (
                    f"the judge learns from {int(train)} labelled rows ({config.align.optimizer.name}), is held "
                    f"against the untouched one on {int(test)}, and registered where the gate lets it through"
                ),
                align if limit is None else min(align, limit),
            ),
            "prompts": (
                (
                    f"the prompt is rewritten ({config.prompts.method}) by {sizes[0]} rows, chosen by {sizes[1]}, "
                    f"compared on {sizes[2]}; guard: {', '.join(one.name for one in self.guard.judges) or 'none'}"
                ),
                config.prompts.max_calls,
            ),
            "register": (f"a confirmed prompt gets the alias {config.prompts.alias or '(none)'}", 0),
        }
        return [StepPlan(name, self.state(name), *told[name]) for name in STEPS]

    def state(self, step: StepName) -> str:
        """Done is more than skipped."""
        return DONE if step in self.done else SKIP if step in self.skip else DO


@dataclass(frozen=True, slots=True)
class End:
    """How far it came.

    Attributes:
        step: the last one that was looked at.
        message: what came of it, in words; next: what the user does, "" where nothing is to do.
        exit_code: 0 the end was reached; 10 the gate or the guard said no; 12 labels are wanted.
    """

    step: StepName
    message: str
    exit_code: int
    remaining: int = 0


def prepare_loop(config: LoopConfig, folder: Path, home: Path, skip: tuple[StepName, ...] = ()) -> Loop:
    """Check everything that can be checked before the first call: models, templates, inputs, scales.

    Args:
        folder: where relative paths start.
        skip: steps to leave out, beside the configuration's.

    Raises:
        JudgeOptError: one line with its remedy.
    """
    file = folder / Path(config.inputs).expanduser()
    rows = read_rows(records(file), config.group)
    judge, guard = _judge(config.judge), _guard(config)
    scorers = make_scorers([judge])
    aims_of(scorers, {k: v for k, v in config.prompts.objectives.items() if k == judge.name})
    if guard.judges:
        aims_of(make_scorers(list(guard.judges)), guard.objectives)
    left_out = set(skip) | set(config.skip)
    if config.label.path is not None:
        left_out |= {"run", "label"}
    asked, *parts = _parts(config, rows, 0 if config.label.path is not None else config.label.items)
    Rows.read(parts[0], parts[1], parts[2], config.seed)
    loop_id = config.loop_id(file_sha256(file))
    place = home / "loops" / loop_id
    made = Loop(
        config, loop_id, place, folder, home, judge, guard, asked, (parts[0], parts[1], parts[2]),
        frozenset(left_out), _remembered(place / "state.json"),
    )  # fmt: skip
    _check_prompt(made, [row for part in (asked, *parts) for row in part])
    if not made.labels.is_file() and "align" not in left_out:
        lacking = config.label.path is not None
        if lacking:
            raise DataError(f"There is no file {made.labels}, which label.path names.", "Correct label.path.")
        if "run" in left_out and "run" not in made.done:
            raise UsageError(
                "Without the step run there is nothing to label.", "Give label.path, or skip align as well."
            )
    config.experiment(made.labels)
    with Session(home) as session:
        for model, base_url in made.models:
            session.check(model, base_url)
    return made


def run_loop(loop: Loop) -> End:
    """Go through the steps until the end, or to where people are needed.

    Raises:
        JudgeOptError: a step cannot go on; what was bought is kept.
        KeyboardInterrupt: after the calls in flight were stored.
    """
    from judge_opt.experiments import loop_steps

    end = End("run", "Every step was skipped.", EXIT_OK)
    for step in STEPS:
        if loop.state(step) == DO:
            end = loop_steps.STEP[step](loop)
        elif step in loop.done:
            end = End(step, loop.done[step]["message"], loop.done[step].get("exit_code", EXIT_OK))
        refused = step == "align" and end.exit_code == EXIT_NOT_PROMOTED and "align" not in loop.skip
        if end.exit_code == EXIT_LABELS_WANTED or (refused and end.step == step):
            return end
    return end


def _judge(said: JudgeConfig, name: str | None = None) -> Judge:
    return make_judge(
        name or said.name,
        said.instructions,
        said.model,
        said.values.value_type(),
        inference_params=dict(said.inference_params),
        base_url=said.base_url,
        generate_rationale_first=said.generate_rationale_first,
    )


def _guard(config: LoopConfig) -> Guard:
    said, objectives = config.prompts.guard, config.prompts.objectives
    if said is None:
        return Guard()
    if said == "untouched":
        name = f"{config.judge.name}_untouched"
        known = {name: objectives[config.judge.name]} if config.judge.name in objectives else {}
        return Guard((_judge(config.judge, name),), known)
    return Guard((_judge(said),), {k: v for k, v in objectives.items() if k == said.name})


def _parts(config: LoopConfig, rows: list[Row], items: int) -> list[list[Row]]:
    """Rows for people, train, valid and test, whole groups in an order that the seed draws."""
    by_group: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda one: one.id):
        by_group.setdefault(row.group, []).append(row)
    names = sorted(by_group)
    random.Random(f"{config.seed} loop").shuffle(names)
    said = config.prompts
    sizes = {"label.items": items, "train": said.train, "valid": said.valid, "test": said.test}
    found: list[list[Row]] = []
    for name, size in sizes.items():
        part: list[Row] = []
        while len(part) < size:
            if not names:
                raise DataError(
                    f"{len(rows)} inputs are too few: {sum(sizes.values())} are wanted, and {name} got "
                    f"{len(part)} of {size}.",
                    "Add inputs, or ask for fewer in label.items and prompts.",
                )
            part += by_group[names.pop()]
        found.append(part)
    return found


def _check_prompt(loop: Loop, rows: list[Row]) -> None:
    said = loop.config.agent
    name, wanted = parse_reference(said.prompt)
    if said.template is not None:
        if wanted is not None:
            raise UsageError(
                f"agent.prompt is {said.prompt!r}, a version, and there is a template as well.",
                "Give the name alone, or leave the template out.",
            )
        template = check_template(said.template)
    else:
        if not (loop.home / "store.db").is_file():
            raise UsageError(f"No prompt is registered in {loop.home}.", "Give agent.template.")
        template = load_prompt(said.prompt, registry=Registry(loop.home / "store.db")).template
    for row in rows:
        inputs = row.fields.get("inputs")
        if not isinstance(inputs, dict):
            raise DataError(f"The inputs of row {row.id!r} have no names.", "Write inputs as an object.")
        render(template, inputs, f"The prompt {name!r}, for row {row.id!r},")


def _remembered(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["schema"] != 1:
            raise ValueError
        return dict(found["done"])
    except (ValueError, KeyError, TypeError, UnicodeDecodeError):
        raise IntegrityError(
            f"{path} cannot be read.", "Remove it: steps that were done are done again from the call store."
        ) from None
