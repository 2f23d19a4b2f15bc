"""Reference lines: what can be had, and what costs nothing. Each is Cohen's kappa (quadratic weights where
labels are ordered) on held-out rows, whose gold is the policy's own label."""

from collections import Counter
from collections.abc import Sequence

from judge_opt.align.objective import agreement
from judge_opt.core.errors import DataError
from judge_opt.core.results import Scored, Value
from judge_opt.judges.judge import Judge
from judge_opt.labels.examples import LabelledExample
from judge_opt.testing.fault_server import FaultServer
from judge_opt.testing.lab.embedding import MEANING, embed
from judge_opt.testing.lab.world import World


def kappa(judge: Judge, rows: Sequence[LabelledExample], concurrency: int = 8) -> float:
    """A judge's kappa on `rows`. Rows without a verdict are no verdicts: they are left out.

    Raises:
        DataError: fewer than half of the rows got a verdict, so a kappa would say little.
    """
    found = judge.batch([row.fields for row in rows], concurrency=concurrency)
    pairs = [
        (row.gold, feedback.result.value)
        for row, feedback in zip(rows, found, strict=True)
        if row.gold is not None and isinstance(feedback.result, Scored)
    ]
    if 2 * len(pairs) < len(rows):
        raise DataError(
            f"Only {len(pairs)} of {len(rows)} held-out rows got a verdict.", "Look at the server's replies."
        )
    return agreement([gold for gold, _ in pairs], [value for _, value in pairs], judge.value_type)


def untouched(world: World, server: FaultServer, rows: Sequence[LabelledExample]) -> float:
    """The judge as it is."""
    return kappa(world.judge(server), rows)


def oracle(world: World, server: FaultServer, rows: Sequence[LabelledExample]) -> float:
    """The judge that is told the true rules."""
    return kappa(world.judge(server, "\n".join(f"- {rule}" for rule in world.rules())), rows)


def pasted(
    world: World, server: FaultServer, train: Sequence[LabelledExample], rows: Sequence[LabelledExample]
) -> float:
    """The judge that is shown every labelled item with its reason."""
    shown = [
        f"Item: {row.fields['outputs']}\nExpert's label: {_text(world, row.gold)}\nReason: {row.rationale or ''}"
        for row in train
        if row.gold is not None
    ]
    return kappa(world.judge(server, "Examples:\n\n" + "\n\n".join(shown)), rows)


def constant(world: World, train: Sequence[LabelledExample], rows: Sequence[LabelledExample]) -> float:
    """Always the most frequent label of `train`; its kappa is 0 by definition."""
    most = Counter(row.gold for row in train if row.gold is not None).most_common(1)[0][0]
    return _agreement(world, rows, [most] * len(rows))


def nearest(
    world: World,
    train: Sequence[LabelledExample],
    rows: Sequence[LabelledExample],
    k: int = 5,
    meaning: float = MEANING,
) -> float:
    """The most frequent label of the `k` nearest items of `train`; ties go to the nearest. `meaning` is the
    embedding model's (`Parameters`)."""
    known = [(embed(row.fields["outputs"], meaning), row.gold) for row in train if row.gold is not None]
    found = []
    for row in rows:
        here = embed(row.fields["outputs"], meaning)
        near = sorted(known, key=lambda one: -sum(x * y for x, y in zip(here, one[0], strict=True)))[:k]
        found.append(Counter(label for _, label in near).most_common(1)[0][0])
    return _agreement(world, rows, found)


def reference_lines(
    world: World, server: FaultServer, train: Sequence[LabelledExample], rows: Sequence[LabelledExample]
) -> dict[str, float]:
    """All of them, by name."""
    return {
        "untouched": untouched(world, server, rows),
        "oracle": oracle(world, server, rows),
        "pasted": pasted(world, server, train, rows),
        "constant": constant(world, train, rows),
        "nearest": nearest(world, train, rows),
    }


def _agreement(world: World, rows: Sequence[LabelledExample], found: Sequence[Value]) -> float:
    pairs = [(row.gold, value) for row, value in zip(rows, found, strict=True) if row.gold is not None]
    return agreement([gold for gold, _ in pairs], [value for _, value in pairs], world.value_type)


def _text(world: World, value: Value | None) -> str:
    return "" if value is None else world.value_type.text_of(value)
