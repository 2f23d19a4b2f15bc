"""`judge-opt judge`: one item, one verdict."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from judge_opt.cli import output, quiet
from judge_opt.cli.locate import find_judge, judge_of
from judge_opt.cli.options import DEFAULT_HOME, Home, Json, JudgeReference, parse_field
from judge_opt.core.errors import EXIT_OK, UsageError
from judge_opt.core.text import printable

if TYPE_CHECKING:
    from judge_opt.judges.feedback import Feedback

EXIT_UNSCORED = 11
"""No error, and no verdict either: the item could not be judged."""

_FIELD = "JSON, text, or @FILE."


def judge(
    reference: JudgeReference = "",
    config: Annotated[
        Path | None, typer.Option("--config", help="Use the untouched judge of this configuration.")
    ] = None,
    inputs: Annotated[str | None, typer.Option("--inputs", help=_FIELD)] = None,
    outputs: Annotated[str | None, typer.Option("--outputs", help=_FIELD)] = None,
    expectations: Annotated[str | None, typer.Option("--expectations", help=_FIELD)] = None,
    conversation: Annotated[str | None, typer.Option("--conversation", help=_FIELD)] = None,
    trace: Annotated[str | None, typer.Option("--trace", help=_FIELD)] = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """Judge one item. Exit code 11: the item could not be judged, and the reason is printed."""
    if bool(reference) == (config is not None):
        raise UsageError("Give either --judge or --config.", "See: judge-opt judge --help")
    said = {
        "inputs": inputs,
        "outputs": outputs,
        "expectations": expectations,
        "conversation": conversation,
        "trace": trace,
    }
    item = {name: parse_field(text, name) for name, text in said.items() if text is not None}
    from judge_opt.experiments.config import load_config
    from judge_opt.llm.session import Session, use_session

    quiet.after_imports()
    chosen = judge_of(load_config(config)[0].judge) if config is not None else find_judge(reference, home)
    with Session(home) as session, use_session(session):
        if chosen.model:
            session.check(chosen.model, chosen.base_url)
        feedback = chosen.judge_item(item)
    if as_json:
        output.emit(feedback_json(feedback))
    else:
        _show(feedback)
    return EXIT_OK if feedback.error is None else EXIT_UNSCORED


def feedback_json(feedback: "Feedback") -> dict[str, Any]:
    """One judgement as JSON. `value` is null exactly where `error` is not."""
    return {
        "name": feedback.name,
        "value": feedback.value,
        "rationale": feedback.rationale,
        "confidence": feedback.confidence,
        "probabilities": feedback.probabilities,
        "error": feedback.error,
        "source": feedback.source.source_id,
        "metadata": feedback.metadata,
    }


def _show(feedback: "Feedback") -> None:
    if feedback.error is not None:
        output.say(f"not judged: {feedback.error}")
        return
    value = feedback.value
    print(printable(str(value).lower() if isinstance(value, bool) else str(value)))
    if feedback.confidence is not None:
        print(f"confidence: {feedback.confidence:.3f}")
    for label, odds in (feedback.probabilities or {}).items():
        print(f"  {odds:.3f}  {printable(label)}")
    if feedback.rationale:
        print(f"rationale: {printable(feedback.rationale)}")
    for guideline in feedback.metadata.get("guidelines", []):
        print(f"guideline: {printable(' '.join(guideline.split()))}")
    for example in feedback.metadata.get("neighbours", [])[:3]:
        print(
            f"near: {printable(example['id'])} ({printable(example['value'])}, {example['similarity']:.2f})"
        )
