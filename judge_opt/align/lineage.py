"""Where an aligned judge comes from, as hashes and settings."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from judge_opt.align.contract import Lineage
from judge_opt.core.hashing import content_hash
from judge_opt.judges.judge import Judge
from judge_opt.judges.stored import dump_judge
from judge_opt.labels.examples import LabelledExample

PACE = ("concurrency",)
"""Settings that change how fast an alignment is, and never what it finds."""


def judge_hash(judge: Judge) -> str:
    """Of a judge with everything that it learned."""
    state, blobs = dump_judge(judge)
    return content_hash([state, {name: content_hash(data.hex()) for name, data in blobs.items()}])


def settings_of(optimizer: Any) -> dict[str, Any]:
    """An optimizer's settings as JSON values: what its `settings()` says; else the fields of a dataclass;
    else nothing."""
    said = getattr(optimizer, "settings", None)
    if callable(said):
        return dict(said())
    if isinstance(said, Mapping):
        return dict(said)
    if is_dataclass(optimizer) and not isinstance(optimizer, type):
        return {field.name: _plain(getattr(optimizer, field.name)) for field in fields(optimizer)}
    return {}


def lineage_of(
    optimizer: Any,
    judge: Judge,
    train: Sequence[LabelledExample],
    valid: Sequence[LabelledExample] | None,
    seed: int,
) -> Lineage:
    """The lineage of what `optimizer` makes of `judge` on these rows; their order does not matter."""
    from judge_opt import __version__

    learn = sorted(row.digest for row in train)
    choose = sorted(row.digest for row in valid or ())
    return Lineage(
        optimizer=optimizer.name,
        settings=settings_of(optimizer),
        seed=seed,
        data_hash=content_hash(sorted([*learn, *choose])),
        split_hash=content_hash({"train": learn, "valid": choose}),
        judge_hash=judge_hash(judge),
        code_version=__version__,
    )


def name_of(lineage: Lineage) -> str:
    """The alignment's name in the ledger: the same for the same work at any pace, so that a stopped one goes
    on under its own name."""
    said = lineage.to_json()
    said["settings"] = {key: value for key, value in lineage.settings.items() if key not in PACE}
    return f"{lineage.optimizer}-{content_hash(said)[:12]}"


def _plain(value: Any) -> Any:
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(one) for one in (sorted(value) if isinstance(value, (set, frozenset)) else value)]
    return getattr(value, "name", None) or type(value).__qualname__
