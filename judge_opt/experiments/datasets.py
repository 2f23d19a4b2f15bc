"""The data sets that ship with the package, so that everything can be tried without any file."""

from dataclasses import dataclass
from pathlib import Path

from judge_opt.core.errors import UsageError
from judge_opt.core.text import nearest
from judge_opt.core.values import ValueType, ordered
from judge_opt.labels.examples import LabelledExample

FOLDER = Path(__file__).parent.parent / "data"


@dataclass(frozen=True, slots=True)
class Dataset:
    """Attributes:
    label: the name of the label, and of the judge for it.
    value_type: what a label may be.
    """

    label: str
    value_type: ValueType


DATASETS = {
    "support_quality": Dataset("support_quality", ordered("poor", "needs_improvement", "good", "excellent")),
}


def load_dataset(name: str) -> list[LabelledExample]:
    """The labelled examples of a shipped data set, grouped as its card (`CARD.md`) says.

    Raises:
        UsageError: there is none of that name.
    """
    from judge_opt.labels.importers import load_examples

    known = DATASETS.get(name)
    if known is None:
        raise UsageError(
            f"There is no data set {str(name)[:60]!r}.{nearest(str(name), DATASETS)}",
            f"Shipped: {', '.join(DATASETS)}. Read your own file with load_examples.",
        )
    return load_examples(FOLDER / name / f"{name}.jsonl", known.label, known.value_type).examples
