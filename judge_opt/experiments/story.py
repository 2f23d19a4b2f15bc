"""From a finished run to its report: what a reader sees."""

import json
import platform
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from judge_opt.align.contract import AlignmentResult, Event
from judge_opt.core.results import Scored
from judge_opt.experiments.report.model import (
    ComponentResult,
    DataCard,
    Disagreement,
    Environment,
    GuidelineResult,
    JudgeCard,
    LearningStep,
    LedgerLine,
    NeighbourUsed,
    ReadOfHeldOut,
    RunReport,
)
from judge_opt.judges.feedback import Feedback
from judge_opt.judges.rendering import value_text
from judge_opt.labels.examples import LabelledExample
from judge_opt.labels.held_out import HeldOutRead
from judge_opt.llm.session import Session
from judge_opt.validate.report_data import ValidationReport

if TYPE_CHECKING:
    from judge_opt.experiments.run import Prepared

_PACKAGES = (
    "judge-opt",
    "dspy",
    "litellm",
    "faiss-cpu",
    "sentence-transformers",
    "torch",
    "xllamacpp",
    "numpy",
)
WORST = 8


class Timings:
    """Seconds by phase, and the run's event log: one JSON line when a phase begins and when it ends.

    Args:
        path: of the log; appended to, so that a resumed run shows both attempts.
        tell: told of every event.
    """

    def __init__(self, path: Path, tell: Callable[[Event], None]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.tell = tell
        self.seconds: dict[str, float] = {}
        self._phase = ""
        self._since = time.monotonic()

    def event(self, event: Event) -> None:
        """Note progress; safe from many threads."""
        if event.phase != self._phase:
            now = time.monotonic()
            if self._phase:
                self.seconds[self._phase] = self.seconds.get(self._phase, 0.0) + now - self._since
            self._phase, self._since = event.phase, now
            self._log({"phase": event.phase, "total": event.total})
        elif event.total and event.done == event.total:
            self._log({"phase": event.phase, "done": event.done})
        self.tell(event)

    def end(self) -> dict[str, float]:
        """Close the last phase; phase to seconds."""
        self.event(Event("done"))
        return {phase: round(seconds, 2) for phase, seconds in self.seconds.items()}

    def _log(self, entry: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as log:
            log.write(json.dumps({"time": round(time.time(), 2), **entry}) + "\n")


def tell_story(
    prepared: "Prepared",
    aligned: AlignmentResult,
    validation: ValidationReport,
    test: Sequence[LabelledExample],
    before: Sequence[Feedback],
    after: Sequence[Feedback],
    session: Session,
    clock: Timings,
    promoted: bool,
    reads: Sequence[HeldOutRead],
) -> RunReport:
    """The report of a run that came to its end.

    Args:
        reads: every reading of the held-out rows that is on record, this run's included.
    """
    config = prepared.config
    warnings = list(aligned.warnings)
    if prepared.skipped:
        warnings.append(f"{prepared.skipped} rows of the file carry no such label and were left out")
    if not aligned.changed:
        warnings.append("no part of memory helped on the training rows: the untouched judge was returned")
    if elsewhere := sum(read.run_id != prepared.plan.run_id for read in reads):
        warnings.append(
            f"these held-out rows were read {elsewhere} time(s) outside this run: what was chosen after "
            "looking at them is not proven on them"
        )
    return RunReport(
        title=config.name,
        description=config.description,
        status="promoted" if promoted else "not_promoted",
        validation=validation,
        data=_data(prepared),
        held_out_reads=[
            ReadOfHeldOut(when=read.created.isoformat(), reason=read.reason, run_id=read.run_id)
            for read in reads
        ],
        judge=JudgeCard(
            name=prepared.judge.name,
            instructions=prepared.judge.instructions,
            value_type=prepared.judge.value_type.describe(),
            model=prepared.judge.model,
        ),
        optimizer=aligned.optimizer,
        settings={key: value_text(value) for key, value in aligned.settings.items()},
        components=[_component(c) for c in aligned.components],
        guidelines=[
            GuidelineResult(
                text=g.text,
                support=g.support,
                contradict=g.contradict,
                state=g.state,
                uplift=g.uplift,
                why=g.why,
            )
            for g in aligned.guidelines
        ],
        disagreements=_disagreements(prepared, test, before, after),
        ledger=[
            LedgerLine(
                purpose=line.purpose,
                model=line.model,
                calls=line.calls,
                cached=line.hits,
                prompt_tokens=line.prompt_tokens,
                completion_tokens=line.completion_tokens,
                usd=None if line.unpriced else line.usd,
                seconds=round(line.seconds, 2),
            )
            for line in session.ledger()
        ],
        timings=clock.end(),
        environment=Environment(
            run_id=prepared.plan.run_id,
            seed=config.seed,
            versions=_versions(),
            commands=["cd <this run's folder>", "judge-opt align config.yaml --home ../.."],
            config_yaml=yaml.safe_dump(config.resolved(), sort_keys=False, allow_unicode=True),
        ),
        warnings=warnings,
        history=[
            LearningStep(step=i, what=name, metric=metric, value=value)
            for i, (name, metric, value) in enumerate(aligned.history)
        ],
    )


def _component(component: Any) -> ComponentResult:
    measured = ""
    if component.score is not None and component.without is not None:
        measured = (
            f"{component.metric} {component.without:.2f} without, {component.score:.2f} with "
            f"({component.rows} training rows, other groups)"
        )
    return ComponentResult(name=component.name, on=component.on, measured=measured, why=component.why)


def _data(prepared: "Prepared") -> DataCard:
    config, split = prepared.config, prepared.split
    labels = dict.fromkeys(prepared.judge.value_type.choices(), 0)
    for example in prepared.examples:
        if example.gold is not None:
            text = prepared.judge.value_type.text_of(example.gold)
            labels[text] = labels.get(text, 0) + 1
    card = Path(__file__).parent.parent / "data" / (config.data.dataset or "-") / "CARD.md"
    return DataCard(
        name=config.data.dataset or Path(config.data.path or "").name,
        card=_origin(card.read_text(encoding="utf-8")) if card.is_file() else "",
        rows=len(prepared.examples),
        groups=len({e.group for e in prepared.examples}),
        raters=sorted({vote.rater for e in prepared.examples for vote in e.votes}),
        split_hash=split.content_hash,
        split_sizes={"train": len(split.train), "test": len(split.test), "unused": split.unused},
        contested=split.contested,
        labels=labels,
    )


def _origin(card: str) -> str:
    """What a data card says of where the data comes from: its second section, or its beginning."""
    sections = card.split("\n## ")
    text = sections[1].partition("\n")[2] if len(sections) > 1 else card
    return " ".join(text.replace("**", "").replace("`", "").split())


def _disagreements(
    prepared: "Prepared",
    test: Sequence[LabelledExample],
    before: Sequence[Feedback],
    after: Sequence[Feedback],
) -> list[Disagreement]:
    """The rows on which the aligned judge is furthest from people, the surest first."""
    value_type = prepared.judge.value_type
    by_id = {example.id: example for example in prepared.examples}
    ranked = []
    for example, old, new in zip(test, before, after, strict=True):
        if example.gold is None or not isinstance(new.result, Scored) or new.value == example.gold:
            continue
        a, b = value_type.number_of(example.gold), value_type.number_of(new.result.value)
        distance = abs(a - b) if a is not None and b is not None else 1.0
        ranked.append((-distance, -(new.confidence or 0.0), example.id, example, old, new))
    return [
        Disagreement(
            id=example.id,
            item={name: value_text(value) for name, value in example.fields.items()},
            human_value=value_type.text_of(example.gold) if example.gold is not None else "",
            human_rationale=example.rationale,
            before=value_type.text_of(old.result.value) if isinstance(old.result, Scored) else None,
            after=value_type.text_of(new.result.value) if isinstance(new.result, Scored) else None,
            judge_rationale=new.rationale,
            neighbours=[
                NeighbourUsed(
                    id=near["id"],
                    value=near["value"],
                    similarity=round(near["similarity"], 3),
                    text=value_text(by_id[near["id"]].fields.get("outputs", ""))[:400],
                )
                for near in new.metadata.get("neighbours", [])[:3]
            ],
        )
        for _, _, _, example, old, new in sorted(ranked, key=lambda row: row[:3])[:WORST]
    ]


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
