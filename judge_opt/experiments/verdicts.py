"""From labelled rows and judges to a written report on verdicts: judging, what is known of the rows, the files.

`judge_opt.validate.validate_verdicts` measures; this is what `judge-opt validate` does around it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from judge_opt.core.errors import DataError
from judge_opt.core.files import write_text
from judge_opt.core.results import Judgement
from judge_opt.core.values import ValueType
from judge_opt.experiments.report.verdicts import render_verdicts_html, render_verdicts_markdown
from judge_opt.judges.judge import Judge
from judge_opt.judges.rendering import value_text
from judge_opt.labels.examples import LabelledExample
from judge_opt.llm.session import current_session
from judge_opt.registry.registry import Registry
from judge_opt.registry.versions import Version
from judge_opt.validate.audits import plan_audit, run_audit
from judge_opt.validate.recorded import Verdicts
from judge_opt.validate.repeats import repeat_judgements, stability
from judge_opt.validate.verdict_parts import Context
from judge_opt.validate.verdict_report import VerdictReport

KIND = "validation"
Progress = Callable[[str, int, int], None]


def context_of(
    examples: Sequence[LabelledExample],
    value_type: ValueType,
    *,
    slices: Sequence[str] = (),
    embedder: str | None = None,
) -> Context:
    """Lengths of what is judged, slices by a path of the row, and embeddings where an embedder is named.

    Args:
        slices: dotted paths such as inputs.subset.
        embedder: URI of an embedding model, asked in the current session.

    Raises:
        DataError: no row has a slice's path.
    """
    texts = {one.id: _texts(one) for one in examples}
    lengths: dict[str, float] = {}
    for name, parts in texts.items():
        if value_type.kind == "pairwise" and len(parts) == 2:
            lengths[name] = float(len(parts[0]) - len(parts[1]))
        elif value_type.kind != "pairwise":
            lengths[name] = float(sum(map(len, parts)))
    found = {}
    for path in slices:
        found[path] = {one.id: value for one in examples if (value := _at(one, path)) is not None}
        if not found[path]:
            raise DataError(f"No row has a field {path[:60]!r}.", "Give a path such as inputs.subset.")
    vectors: dict[str, Any] = {}
    if embedder is not None:
        most = max(len(parts) for parts in texts.values())
        padded = {name: [*parts, *([""] * (most - len(parts)))] for name, parts in texts.items()}
        flat = [part or " " for parts in padded.values() for part in parts]
        table = np.asarray(current_session().embedder(embedder).embed(flat)).reshape(len(padded), -1)
        vectors = dict(zip(padded, table, strict=True))
    return Context(lengths=lengths, slices=found, vectors=vectors)


def judge_rows(
    judges: Mapping[str, Judge],
    examples: Sequence[LabelledExample],
    context: Context,
    *,
    repeats: int = 1,
    audits: Mapping[str, Sequence[str]] | None = None,
    audit_rows: int | None = 100,
    concurrency: int = 8,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[dict[str, Verdicts], Context]:
    """Judge the rows, in the current session, and measure what only asking can show.

    Args:
        judges: by the name that the report shows.
        repeats: times that each row is judged; more than one for the stability.
        audits: judge name to the audits that are run on its first `audit_rows` rows.

    Returns:
        the verdicts, and the context with stability, audits and what each judge learned from.

    Raises:
        JudgeOptError: see `Judge.batch`; what was bought is kept, and the same call goes on.
    """
    items = [one.fields for one in examples]
    groups = [one.group for one in examples]
    verdicts, steady, biases, learned = {}, {}, {}, {}
    for name, judge in judges.items():

        def told(done: int, total: int, who: str = name) -> None:
            if progress is not None:
                progress(f"judge, {who}", done, total)

        passes: list[list[Judgement]]
        if repeats > 1:
            passes = repeat_judgements(judge, items, repeats, concurrency=concurrency, progress=told)
            gold = [one.gold for one in examples]
            steady[name] = stability(passes, groups, judge.value_type, gold=gold, seed=seed)
        else:
            passes = [[one.result for one in judge.batch(items, concurrency=concurrency, progress=told)]]
        verdicts[name] = Verdicts({one.id: j for one, j in zip(examples, passes[0], strict=True)})
        if wanted := (audits or {}).get(name):
            plan = plan_audit(judge, examples, list(wanted), limit=audit_rows)
            biases[name] = run_audit(plan, concurrency=concurrency, seed=seed, progress=progress)
        memory = judge.memory
        learned[name] = frozenset(memory.episodic.ids()) if memory is not None else frozenset()
    return verdicts, replace(
        context,
        stability={**context.stability, **steady},
        biases={**context.biases, **biases},
        learned_from={**context.learned_from, **learned},
    )


def with_texts(
    report: VerdictReport,
    examples: Sequence[LabelledExample],
    verdicts: Mapping[str, Verdicts],
    *,
    most: int = 8,
) -> VerdictReport:
    """The report with the texts of the worst disagreements, to read side by side; at most so many a judge."""
    by_id = {one.id: one for one in examples}
    sheets = []
    for sheet in report.judges:
        worst = []
        for row in sheet.worst[:most]:
            example = by_id[row.id]
            said = verdicts[sheet.name].judged.get(row.id)
            reason = getattr(said, "rationale", None) or getattr(said, "raw", None)
            fields = {name: value_text(value) for name, value in example.fields.items()}
            worst.append(
                row.model_copy(
                    update={"item": fields, "rationale": reason, "human_rationale": example.rationale}
                )
            )
        sheets.append(sheet.model_copy(update={"worst": worst}))
    return report.model_copy(update={"judges": sheets})


def write_report(report: VerdictReport, folder: Path) -> list[Path]:
    """report.html, report.md and report.json in a folder, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {
        "report.json": report.model_dump_json(indent=1) + "\n",
        "report.html": render_verdicts_html(report),
        "report.md": render_verdicts_markdown(report),
    }
    for name, text in made.items():
        write_text(folder / name, text)
    return [folder / name for name in made]


def record_validation(report: VerdictReport, judge: Version, registry: Registry) -> Version:
    """Keep a report in the registry beside the judge that it is about: an immutable version of kind
    "validation" under the judge's name, whose lineage names the judge's version and content.

    The judge's own version is not touched but for its tag `gate`: promoted, refused, or measured.
    """
    said = "measured" if report.decision is None else "promoted" if report.decision.promoted else "refused"
    kept = registry.register(
        KIND,
        judge.name,
        report.model_dump(mode="json"),
        lineage={
            "judge": f"{judge.name}/{judge.version}",
            "judge_hash": judge.content_hash,
            "rows": report.rows_digest,
            "gate": said,
        },
    )
    registry.set_tag("judge", judge.name, judge.version, "gate", said)
    registry.set_tag("judge", judge.name, judge.version, "validation", str(kept.version))
    return kept


def _texts(example: LabelledExample) -> list[str]:
    """The texts that are judged: each of the outputs' fields, or the whole."""
    outputs = example.fields.get("outputs", example.fields)
    return (
        [value_text(v) for v in outputs.values()] if isinstance(outputs, Mapping) else [value_text(outputs)]
    )


def _at(example: LabelledExample, path: str) -> str | None:
    value: Any = example.fields
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value_text(value)
