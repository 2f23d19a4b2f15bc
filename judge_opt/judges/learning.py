"""What `Judge.align`, `load` and `example` do: what a judge learns, and what DSPy's optimizers are handed."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import dspy

from judge_opt.core.errors import UsageError
from judge_opt.core.results import Unscored
from judge_opt.judges.verdict import RATIONALE, VERDICT
from judge_opt.labels.examples import LabelledExample
from judge_opt.traces.schema import Trace

if TYPE_CHECKING:
    from judge_opt.judges.judge import Judge


def align(judge: "Judge", labelled: Any, optimizer: Any, traces: Any, options: dict[str, Any]) -> "Judge":
    """See `Judge.align`. Labelled traces of a judge of conversations are put together by their sessions."""
    if hasattr(labelled, "align"):
        labelled, optimizer = (traces if traces is not None else optimizer), labelled
    elif labelled is None:
        labelled = traces
    if labelled is None:
        raise UsageError(f"{judge.name!r} was given nothing to learn from.", "Pass labelled rows or traces.")
    from judge_opt.labels.stored import as_examples

    if isinstance(labelled, str) or not isinstance(labelled, Iterable):
        raise UsageError(
            f"{judge.name!r} cannot learn from a {type(labelled).__name__}.",
            "Pass a list of labelled rows (see judge_opt.load_examples) or traces.",
        )
    labelled = list(labelled)
    if any(variable.root == "conversation" for variable in judge.template.variables) and any(
        isinstance(row, Trace) for row in labelled
    ):
        from judge_opt.judges.sessions import session_examples

        labelled = session_examples(labelled, judge.name, judge.value_type)
    if optimizer is None:
        from judge_opt.align.memalign import MemAlign

        optimizer = MemAlign()
    result = optimizer.align(judge, as_examples(labelled, judge.name, judge.value_type), **options)
    return cast("Judge", getattr(result, "judge", result))


def unalign(judge: "Judge", traces: Any, assessments: Any, rater: Any) -> "Judge":
    """See `Judge.unalign`."""
    from judge_opt.memory.forgetting import forget

    if judge.memory is None:
        raise UsageError(f"{judge.name!r} has learned nothing from labels.", "Align it first.")
    named = [_ids(traces, "traces"), _ids(assessments, "assessments"), _ids(rater, "rater")]
    if not any(named):
        raise UsageError("Nothing to take back was named.", "Name traces, assessments or a rater.")
    return judge.with_memory(forget(judge.memory, traces=named[0], assessments=named[1], raters=named[2]))


def _ids(given: Any, what: str) -> frozenset[str]:
    """Ids of one or several things that are ids or have one."""
    if given is None:
        return frozenset()
    alone = isinstance(given, str) or hasattr(given, "id") or not isinstance(given, Iterable)
    several = [given] if alone else list(given)
    for one in several:
        if not isinstance(one, str) and not hasattr(one, "id"):
            raise UsageError(
                f"{what}: a {type(one).__name__} is no id and has none.", "Pass ids, or objects with an id."
            )
    return frozenset(one if isinstance(one, str) else str(one.id) for one in several)


def load(judge: "Judge", path: str | Path) -> None:
    """See `Judge.load`."""
    from judge_opt.judges.stored import read_judge

    other = read_judge(Path(path), base_url=judge.base_url)
    if type(other) is not type(judge):
        raise UsageError(f"{path} holds a {other.kind}, not a {judge.kind}.", "Use judge_opt.load_judge.")
    judge.__dict__.update(other.__dict__)


def example(judge: "Judge", labelled: LabelledExample) -> dspy.Example:
    """See `Judge.example`."""
    parts = judge.parts(labelled)
    own = {} if isinstance(parts, Unscored) else judge.dspy_inputs(parts)
    fields = dict(labelled.fields)
    said = {RATIONALE: labelled.rationale, VERDICT: labelled.gold, "value": labelled.gold}
    return dspy.Example(**{**own, **fields, **said}).with_inputs(*fields)
