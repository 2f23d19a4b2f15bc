"""Two judges on labelled rows that neither has seen: judged, then measured by `judge_opt.validate`."""

from collections.abc import Callable, Sequence
from typing import Any

from judge_opt.core.errors import DataError
from judge_opt.core.results import Judgement, Unscored
from judge_opt.judges.feedback import Feedback
from judge_opt.judges.judge import Judge
from judge_opt.judges.rendering import value_text
from judge_opt.labels.examples import LabelledExample
from judge_opt.labels.held_out import record_read
from judge_opt.labels.leakage import check_no_leakage
from judge_opt.llm.session import current_session
from judge_opt.memory.vectors import ItemEmbedder
from judge_opt.validate.gate import GatePolicy
from judge_opt.validate.report_data import TrainRows, ValidationReport
from judge_opt.validate.report_data import validate as measure

Progress = Callable[[str, int, int], None]


def validate(
    before: Judge,
    after: Judge,
    test: Sequence[LabelledExample],
    train: Sequence[LabelledExample] = (),
    *,
    contested: Sequence[LabelledExample] = (),
    embedder: str | None = "local:/minilm",
    policy: GatePolicy | None = None,
    seed: int = 0,
    concurrency: int = 8,
    noun: str = "rows",
    progress: Progress | None = None,
    calibrate: bool = True,
) -> ValidationReport:
    """Compare an aligned judge with the one that it would replace, on held-out rows. That they were read is
    recorded in the current store: see `judge_opt.labels.held_out`.

    Args:
        before, after: of the same value type.
        test: rows that `after` was not aligned on.
        train: the rows that it was aligned on: what the baselines learn from. Without them there are no
            baselines.
        contested: held-out rows on which the raters tie. They are not judged, and show in the human
            ceiling: without them people would seem to agree more than they do.
        embedder: for the text baselines; None leaves them out.
        policy: of the gate.
        calibrate: also judge `train` by the untouched judge (an aligner has mostly bought these calls), for
            the baseline "the untouched judge, calibrated on as many labels".
        progress: told of (phase, rows done, rows in all).

    Raises:
        LeakageError: a row, or a near-duplicate, stands in both `train` and `test`.
        DataError: `test` is empty, or the judges differ in their value types.
    """
    if test:
        record_read(test, f"validate_judges: {after.name!r} against {before.name!r}")
    return judge_and_measure(
        before,
        after,
        test,
        train,
        contested=contested,
        embedder=embedder,
        policy=policy,
        seed=seed,
        concurrency=concurrency,
        noun=noun,
        progress=progress,
        calibrate=calibrate,
    )[0]


def judge_and_measure(
    before: Judge,
    after: Judge,
    test: Sequence[LabelledExample],
    train: Sequence[LabelledExample],
    *,
    contested: Sequence[LabelledExample],
    embedder: str | None,
    policy: GatePolicy | None,
    seed: int,
    concurrency: int,
    noun: str,
    progress: Progress | None,
    calibrate: bool = True,
) -> tuple[ValidationReport, list[Feedback], list[Feedback]]:
    """`validate`, with what both judges said of each row."""
    if not test:
        raise DataError("There are no held-out rows to validate on.", "Split some off before aligning.")
    if before.value_type != after.value_type:
        raise DataError("The two judges differ in their value types.", "Compare judges of one value type.")
    if train:
        check_no_leakage(train, test)
    items = [example.fields for example in test]
    said_before = _judge(before, items, "judge held-out rows, untouched", concurrency, progress)
    same = after is before
    said_after = (
        said_before if same else _judge(after, items, "judge held-out rows, aligned", concurrency, progress)
    )
    rows = [*test, *contested]
    beside: list[Judgement] = [Unscored("cancelled", "contested: not judged")] * len(contested)
    learned = [example for example in train if example.gold is not None]
    vectors: tuple[Any, Any] = (None, None)
    if embedder is not None and learned:
        vectors = _vectors(before, embedder, learned, rows)
    said_learned = (
        _judge(
            before,
            [example.fields for example in learned],
            "judge training rows, untouched",
            concurrency,
            progress,
        )
        if learned and calibrate
        else None
    )
    train_rows = TrainRows(
        gold=[example.gold for example in learned if example.gold is not None],
        groups=[example.group for example in learned],
        vectors=vectors[0],
        lengths=[_length(example) for example in learned],
        judged=None if said_learned is None else _results(said_learned),
    )
    report = measure(
        [example.gold for example in test] + [None] * len(contested),
        _results(said_before) + beside,
        _results(said_after) + beside,
        [example.group for example in rows],
        before.value_type,
        ids=[example.id for example in rows],
        raters_votes=[{vote.rater: vote.value for vote in example.votes} for example in rows],
        train=train_rows if learned else None,
        test_vectors=vectors[1],
        test_lengths=[_length(example) for example in rows],
        seed=seed,
        policy=policy,
        noun=noun,
    )
    return report, said_before, said_after


def _judge(
    judge: Judge, items: Sequence[Any], phase: str, concurrency: int, progress: Progress | None
) -> list[Feedback]:
    def told(done: int, total: int) -> None:
        if progress is not None:
            progress(phase, done, total)

    return judge.batch(items, concurrency=concurrency, progress=told)


def _results(feedback: Sequence[Feedback]) -> list[Judgement]:
    return [one.result for one in feedback]


def _vectors(
    judge: Judge, embedder: str, train: Sequence[LabelledExample], test: Sequence[LabelledExample]
) -> tuple[Any, Any]:
    """The same vectors that memory uses, so that the baselines are as strong as they can be."""
    names = [variable.name for variable in judge.template.variables]
    space = ItemEmbedder(current_session().embedder(embedder, judge.endpoint_of(embedder)), names)

    def parts(examples: Sequence[LabelledExample]) -> list[dict[str, Any]]:
        found = [judge.parts(example.fields) for example in examples]
        return [part if isinstance(part, dict) else {} for part in found]

    return space.embed(parts(train)), space.embed(parts(test))


def _length(example: LabelledExample) -> int:
    """Characters of what is judged."""
    return len(value_text(example.fields.get("outputs", example.fields)))
