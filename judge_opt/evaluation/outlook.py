"""What an evaluation would buy, before it buys anything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from judge_opt.core.results import Unscored
from judge_opt.evaluation.data import records
from judge_opt.evaluation.rows import read_rows
from judge_opt.evaluation.scorers import JudgeScorer, make_scorers


@dataclass(frozen=True, slots=True)
class Forecast:
    """For one judge.

    Attributes:
        rows: that it can judge; the others lack something that its template names.
        calls: of its model that remain to be bought, without retries and repairs.
        cached: calls whose replies are in the call store.
        tokens: what the calls use at most, in and out together; None where that cannot be known before,
            since the judge recalls examples or asks in several steps; then `calls` is the fewest, and those
            in the call store are among them.
        usd: at most; 0.0 where nothing is to be bought; None where tokens or the price are not known.
    """

    rows: int
    calls: int
    cached: int
    tokens: int | None
    usd: float | None


def forecast(
    data: Any, judges: Any, *, group: str | None = None, output_tokens: int | None = None
) -> dict[str, Forecast]:
    """What `evaluate(data, judges)` would buy in the current session. Nothing is sent.

    Args:
        data, judges, group: as of `evaluate`. An agent's outputs cannot be known before it has run.
        output_tokens: tokens of one reply; default: as many as the model may write.

    Raises:
        UsageError, DataError: as `evaluate`.
    """
    rows = read_rows(records(data), group)
    return {
        scorer.name: _of_judge(scorer.subject, [row.fields for row in rows], output_tokens)
        if isinstance(scorer, JudgeScorer) and scorer.model
        else Forecast(len(rows), 0, 0, 0, 0.0)
        for scorer in make_scorers(judges)
    }


def _of_judge(judge: Any, items: Sequence[Mapping[str, Any]], output_tokens: int | None) -> Forecast:
    from judge_opt.judges.asking import asking
    from judge_opt.judges.judge import Judge
    from judge_opt.llm.forecast import estimate

    jurors = getattr(judge, "jurors", None)
    if jurors:
        return _sum([_of_judge(juror, items, output_tokens) for juror in jurors])
    whole = [part for item in items if not isinstance(part := judge.parts(item), Unscored)]
    if type(judge).ask is not Judge.ask or judge.memory is not None or judge.options.samples != 1:
        return Forecast(len(whole), len(whole) * judge.options.samples, 0, None, None)
    questions = [next(asking(judge, part)) for part in whole]
    if not questions:
        return Forecast(0, 0, 0, 0, 0.0)
    found = estimate(
        judge.lm(), [one.messages for one in questions], output_tokens, **dict(questions[0].config)
    )
    return Forecast(len(whole), found.calls, found.cached, found.tokens, found.usd)


def _sum(parts: Sequence[Forecast]) -> Forecast:
    """Of jurors, who judge the same rows."""
    tokens, usd = [one.tokens for one in parts], [one.usd for one in parts]
    return Forecast(
        max(one.rows for one in parts),
        sum(one.calls for one in parts),
        sum(one.cached for one in parts),
        None if None in tokens else sum(one for one in tokens if one is not None),
        None if None in usd else sum(one for one in usd if one is not None),
    )
