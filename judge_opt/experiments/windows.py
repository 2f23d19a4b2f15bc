"""A judge's recorded verdicts, cut into windows of time, as `judge_opt.validate.drift` takes them.

reference, windows = recorded_windows(store, "tone", BOOL)
print(drift(reference, windows, BOOL).alarms)
"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from judge_opt.core.errors import DataError, NotFound
from judge_opt.core.results import Scored
from judge_opt.core.text import nearest
from judge_opt.core.values import ValueType
from judge_opt.labels.stored import labelled_examples
from judge_opt.traces.schema import Assessment, LabelledTrace, SourceType
from judge_opt.validate.drift_windows import TimeRows

if TYPE_CHECKING:
    from judge_opt.core.results import Judgement, Value
    from judge_opt.traces.store import Store

Period = Literal["day", "week", "month"]


def recorded_windows(
    store: "Store",
    judge: str,
    value_type: ValueType,
    *,
    label: str | None = None,
    every: Period = "week",
    since: datetime | None = None,
    source: str | None = None,
) -> tuple[TimeRows, dict[str, TimeRows]]:
    """(reference, windows): what a judge said of the stored traces, by the time at which each was recorded.

    The group of a row is its trace's session, else the trace. Of several verdicts on a trace the latest counts.
    Rows without a verdict are not in the store's votes, and so not here.

    Args:
        label: the name of people's labels; None: the judge's name.
        every: length of a window, from midnight UTC; weeks begin on Monday.
        since: where the reference ends and the windows begin, UTC where it has no time zone; None: after the
            first window in which anything was judged.
        source: only verdicts of this source, such as "tone/3"; None: of any judge or code.

    Raises:
        NotFound: there is no verdict of that name.
        DataError: a verdict or label is not of the value type; or everything lies on one side of `since`.
    """
    kinds: tuple[SourceType, ...] = ("LLM_JUDGE", "CODE")
    found = [one for kind in kinds for one in store.labelled_traces(judge, kind)]
    rows = sorted(
        (
            (one.trace.created.astimezone(UTC), one.trace.id, one, word)
            for one, word in _latest(found, source)
        ),
        key=lambda row: row[:2],
    )
    if not rows:
        names = store.feedback_names()
        wanted = f"{judge!r}" if source is None else f"{judge!r} from {source!r}"
        raise NotFound(
            f"No judge's verdict called {wanted} in {store.database.name}; names of feedback: "
            f"{', '.join(names) or 'none'}.{nearest(judge, names)}",
            "Evaluate with the store on, or name the verdicts that are there.",
        )
    golds = _labels(store, label or judge, value_type)
    first = _begin(rows[0][0], every)
    ends = since.replace(tzinfo=since.tzinfo or UTC) if since is not None else _next(first, every)
    cut: dict[str, list[tuple[Judgement, str, Value | None]]] = {}
    before: list[tuple[Judgement, str, Value | None]] = []
    for moment, name, one, word in rows:
        said = Scored(value_type.check_label(word.value, f"The verdict on trace {name!r}"))
        row = (said, one.trace.session or name, golds.get(name))
        if moment < ends:
            before.append(row)
        else:
            cut.setdefault(_begin(moment, every).date().isoformat(), []).append(row)
    if not before or not cut:
        side = "before" if not before else "from"
        raise DataError(
            f"No trace with a verdict called {judge!r} was recorded {side} {ends:%Y-%m-%d} on.",
            f"They are of {rows[0][0]:%Y-%m-%d} to {rows[-1][0]:%Y-%m-%d}: name a moment between, or a shorter period.",
        )
    return _time_rows(before), {name: _time_rows(some) for name, some in cut.items()}


def _latest(found: list[LabelledTrace], source: str | None) -> list[tuple[LabelledTrace, Assessment]]:
    of: dict[str, tuple[LabelledTrace, Assessment]] = {}
    for one in found:
        for word in one.assessments:
            if word.kind != "feedback" or source not in (None, word.source_id):
                continue
            if one.trace.id not in of or word.created > of[one.trace.id][1].created:
                of[one.trace.id] = (one, word)
    return list(of.values())


def _labels(store: "Store", name: str, value_type: ValueType) -> "dict[str, Value]":
    if not store.labelled_traces(name):
        return {}
    examples = labelled_examples(store, name, value_type)
    return {one.id: one.gold for one in examples if one.gold is not None}


def _time_rows(rows: "list[tuple[Judgement, str, Value | None]]") -> TimeRows:
    golds = [gold for _, _, gold in rows]
    some = any(gold is not None for gold in golds)
    return TimeRows([said for said, _, _ in rows], [group for _, group, _ in rows], golds if some else None)


def _begin(moment: datetime, every: Period) -> datetime:
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if every == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if every == "month" else day


def _next(begin: datetime, every: Period) -> datetime:
    return _begin(begin + timedelta(days={"day": 1, "week": 7, "month": 31}[every]), every)
