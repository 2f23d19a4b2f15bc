"""One experiment from configuration to report: check, align, validate, decide, register, write down.

    prepared = prepare(*load_config(Path("configs/quickstart.yaml")), Path(".judge_opt"))
    outcome = run(prepared)

Everything that can be wrong with the input is found in `prepare`, before a call is bought. A run that was
stopped is run again under the same configuration: its calls are in the store, so it buys only what was in
flight, and ends in the same `results.json`.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from judge_opt.align.contract import AlignmentOptimizer, AlignmentResult, Event, estimate_calls
from judge_opt.align.memalign import MemAlign
from judge_opt.align.named import make_optimizer, optimizer_class, settings_known
from judge_opt.align.rows import check_training
from judge_opt.core.errors import EXIT_NOT_PROMOTED, EXIT_OK, DataError
from judge_opt.core.files import write_text
from judge_opt.core.hashing import content_hash, file_sha256
from judge_opt.core.killpoints import reach
from judge_opt.core.results import Unscored
from judge_opt.experiments.config import ExperimentConfig, data_path
from judge_opt.experiments.report.model import RunReport
from judge_opt.experiments.report.render import render_html, render_markdown
from judge_opt.experiments.seal import seal, unseal
from judge_opt.experiments.story import Timings, tell_story
from judge_opt.experiments.validation import judge_and_measure
from judge_opt.judges.feedback import Feedback
from judge_opt.judges.judge import Judge
from judge_opt.judges.make import make_judge
from judge_opt.judges.stored import dump_judge, save_judge
from judge_opt.labels.examples import LabelledExample
from judge_opt.labels.held_out import HeldOutRead, reads_of
from judge_opt.labels.importers import load_examples
from judge_opt.labels.leakage import check_no_leakage
from judge_opt.labels.splits import Split, make_split
from judge_opt.llm.budget import Budget
from judge_opt.llm.engine import CallEvent
from judge_opt.llm.session import Session, use_session
from judge_opt.registry.judges import register
from judge_opt.traces.store import Store
from judge_opt.validate.gate import GatePolicy
from judge_opt.validate.report_data import ValidationReport


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will do.

    Attributes:
        rows: labelled rows in the data; `contested` of them without a majority.
        train, test: rows on each side.
        calls: (fewest, most) model calls, the cache not counted.
        resumes: the run was begun before.
    """

    run_id: str
    rows: int
    train: int
    test: int
    contested: int
    calls: tuple[int, int]
    models: list[str]
    folder: Path
    resumes: bool


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run whose input is in order."""

    plan: Plan
    config: ExperimentConfig
    home: Path
    judge: Judge
    optimizer: AlignmentOptimizer
    examples: list[LabelledExample]
    skipped: int
    split: Split


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    Attributes:
        version: "name/number" in the registry where the judge was promoted, else None.
        exit_code: 0 promoted, 10 the untouched judge was kept.
    """

    run_id: str
    folder: Path
    report: RunReport
    promoted: bool
    version: str | None
    exit_code: int


def prepare(config: ExperimentConfig, folder: Path, home: Path) -> Prepared:
    """Check everything: template, data, labels, split, models. No call is bought.

    Args:
        folder: where the configuration's relative paths start.
        home: the folder of runs, calls and the registry.

    Raises:
        JudgeOptError: one line with its remedy.
    """
    said = config.judge
    judge = make_judge(
        said.name,
        said.instructions,
        said.model,
        said.values.value_type(),
        inference_params=dict(said.inference_params),
        base_url=said.base_url,
        generate_rationale_first=said.generate_rationale_first,
    )
    data = config.data
    file = data_path(data, folder)
    loaded = load_examples(
        file,
        None if data.labels else (data.label or said.name),
        judge.value_type,
        names=data.labels,
        name_field=data.label_field,
        group=data.group,
        value_map=data.value_map,
        pools=data.pools,
    )
    split = make_split(
        loaded.examples,
        train=config.split.train,
        test=config.split.test,
        seed=config.split.seed,
        group_key=data.group or "session",
    )
    train, _, test = split.select(loaded.examples)
    check_no_leakage(train, test)
    if config.optimizer.name != "noop":
        check_training(judge, train)
    for example in test:
        parts = judge.parts(example.fields)
        if isinstance(parts, Unscored):
            raise DataError(
                f"Row {example.id!r}: {parts.detail}, which the judge's template names.", "Add it."
            )
    optimizer = _optimizer(config)
    models = [said.model]
    with Session(home) as session:
        session.check(said.model, said.base_url)
        if isinstance(optimizer, MemAlign):
            if optimizer.reflection_lm is not None and optimizer.guidelines:
                models.append(optimizer.reflection_lm)
                session.check(optimizer.reflection_lm, judge.endpoint_of(optimizer.reflection_lm))
            models.append(optimizer.embedder)
            endpoint = judge.endpoint_of(optimizer.embedder)
            if not optimizer.embedder.startswith("local:"):
                session.check(optimizer.embedder, endpoint)
            _ = session.embedder(optimizer.embedder, endpoint).name
    fewest, most = estimate_calls(optimizer, len(train))
    run_id = config.run_id(file_sha256(file))
    run_folder = home / "runs" / run_id
    plan = Plan(
        run_id=run_id,
        rows=len(loaded.examples),
        train=len(train),
        test=len(test),
        contested=split.contested,
        calls=(fewest + len(test), most + 2 * len(test) + (config.optimizer.name != "noop") * len(train)),
        models=models,
        folder=run_folder,
        resumes=run_folder.exists(),
    )
    if data.path is not None:  # so that the run's own config.yaml can be run again from anywhere
        config = config.model_copy(update={"data": data.model_copy(update={"path": str(file.resolve())})})
    return Prepared(plan, config, home, judge, optimizer, loaded.examples, len(loaded.skipped), split)


def run(
    prepared: Prepared,
    *,
    on_event: Callable[[Event], None] = lambda event: None,
    on_call: Callable[[CallEvent], None] = lambda call: None,
) -> Outcome:
    """Align, validate, decide, register and write the run's folder.

    Args:
        on_event: told of progress; on_call: of every call that ended. Both must be quick.

    Raises:
        JudgeOptError: the run cannot go on; what was bought is kept.
        KeyboardInterrupt: after the calls in flight were stored.
    """
    config, plan = prepared.config, prepared.plan
    limits = config.budget.model_dump(exclude_none=True)
    clock = Timings(plan.folder / "events.jsonl", on_event)
    written = yaml.safe_dump(config.resolved(), sort_keys=False, allow_unicode=True)
    write_text(plan.folder / "config.yaml", written)
    write_text(plan.folder / "split.json", json.dumps(prepared.split.to_json(), indent=1))
    unseal(plan.folder)
    train = prepared.split.select(prepared.examples)[0]
    with Session(
        prepared.home,
        run_id=plan.run_id,
        budget=Budget(**limits) if limits else None,
        concurrency=config.concurrency,
        events=on_call,
    ) as session:
        with use_session(session):
            aligned = prepared.optimizer.align(
                prepared.judge,
                train,
                budget=_for_alignment(config, plan),
                seed=config.seed,
                callbacks=[clock.event],
            )
            reach("experiment.aligned")
            test, reads = _open_test(prepared)
            validation, before, after = _validate(prepared, aligned, train, test, clock)
            reach("experiment.validated")
        promoted = aligned.changed and validation.decision.promoted
        version = _register(prepared, aligned, validation, reads) if promoted else None
        save_judge(aligned.judge if promoted else prepared.judge, plan.folder / "judge")
        results = _results(prepared, aligned, validation, before, after, promoted)
        write_text(plan.folder / "results.json", json.dumps(results, indent=1, sort_keys=True))
        reach("experiment.results")
        report = tell_story(
            prepared, aligned, validation, test, before, after, session, clock, promoted, reads
        )
    write_text(plan.folder / "report.json", report.model_dump_json(indent=1))
    write_text(plan.folder / "report.html", render_html(report))
    write_text(plan.folder / "report.md", render_markdown(report))
    seal(plan.folder)
    code = EXIT_OK if promoted else EXIT_NOT_PROMOTED
    return Outcome(plan.run_id, plan.folder, report, promoted, version, code)


def _for_alignment(config: ExperimentConfig, plan: Plan) -> Budget | None:
    """What of the run's calls the optimizer may spend: both judges are still to be asked about every held-out row,
    and a search that used up all would end in nothing. Tokens and dollars of those are not known before."""
    if config.budget.calls is None or config.budget.calls <= 2 * plan.test:
        return None
    return Budget(calls=config.budget.calls - 2 * plan.test)


def _open_test(prepared: Prepared) -> tuple[list[LabelledExample], list[HeldOutRead]]:
    """The held-out rows, and every reading of them that is on record, this one included."""
    with Store(prepared.home / "store.db") as store:
        test = prepared.split.open_test(
            prepared.examples,
            f"run {prepared.config.name}: the aligned judge against the untouched one",
            store=store,
            run_id=prepared.plan.run_id,
        )
        return test, reads_of(test, store=store)


def _optimizer(config: ExperimentConfig) -> AlignmentOptimizer:
    name, settings = config.optimizer.name, dict(config.optimizer.settings)
    if "concurrency" in (settings_known(optimizer_class(name)) or []):
        settings = {"concurrency": config.concurrency, **settings}
    return make_optimizer(name, settings)


def _validate(
    prepared: Prepared,
    aligned: AlignmentResult,
    train: list[LabelledExample],
    test: list[LabelledExample],
    clock: "Timings",
) -> tuple[ValidationReport, list[Feedback], list[Feedback]]:
    config = prepared.config
    embedder = prepared.optimizer.embedder if isinstance(prepared.optimizer, MemAlign) else None
    return judge_and_measure(
        prepared.judge,
        aligned.judge,
        test,
        train,
        contested=_contested(prepared.examples, test),
        embedder=embedder,
        policy=GatePolicy(**config.gate.model_dump()),
        seed=config.seed,
        concurrency=config.concurrency,
        noun=config.data.rows,
        progress=lambda phase, done, total: clock.event(Event(phase, done, total)),
        # An optimizer has mostly judged these rows, so this buys little; without one it would.
        calibrate=config.optimizer.name != "noop",
    )


def _register(
    prepared: Prepared, aligned: AlignmentResult, validation: ValidationReport, reads: list[HeldOutRead]
) -> str:
    config = prepared.config
    name = config.register_as.name or prepared.judge.name
    lineage = {
        "run_id": prepared.plan.run_id,
        "data_hash": prepared.split.examples_hash,
        "split_hash": prepared.split.content_hash,
        "optimizer": aligned.optimizer,
        "settings": aligned.settings,
        "seed": config.seed,
        "config": config.resolved(),
        "held_out_reads": [read.to_json() for read in reads],
        "validation": json.loads(validation.model_dump_json()),
    }
    version = register(
        aligned.judge, name, lineage=lineage, alias=config.register_as.alias, home=prepared.home
    )
    reach("experiment.registered")
    return f"{name}/{version.version}"


def _results(
    prepared: Prepared,
    aligned: AlignmentResult,
    validation: ValidationReport,
    before: list[Feedback],
    after: list[Feedback],
    promoted: bool,
) -> dict[str, Any]:
    """Everything that the replies determine, and nothing that the clock does: the same bytes from a
    resumed run as from an uninterrupted one."""
    state, blobs = dump_judge(aligned.judge)
    return {
        "schema": 1,
        "run_id": prepared.plan.run_id,
        "promoted": promoted,
        "changed": aligned.changed,
        "judge_hash": content_hash([state, {name: content_hash(data.hex()) for name, data in blobs.items()}]),
        "split_hash": prepared.split.content_hash,
        "components": [
            [c.name, c.on, c.metric, c.score, c.without, c.rows, c.why] for c in aligned.components
        ],
        "guidelines": [g.to_json() for g in aligned.guidelines],
        "history": [list(step) for step in aligned.history],
        "coverage": aligned.coverage,
        "warnings": list(aligned.warnings),
        "validation": json.loads(validation.model_dump_json()),
        "verdicts": [
            [b.value, b.error, a.value, a.error, a.confidence] for b, a in zip(before, after, strict=True)
        ],
    }


def _contested(examples: list[LabelledExample], test: list[LabelledExample]) -> list[LabelledExample]:
    """Rows without a majority that belong to the held-out groups."""
    held_out = {example.group for example in test}
    return sorted((e for e in examples if e.gold is None and e.group in held_out), key=lambda e: e.id)
