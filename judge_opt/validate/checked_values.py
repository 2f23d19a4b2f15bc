"""Labels and verdicts of columns that have gaps are checked as `encode` checks columns without."""

from collections.abc import Sequence

from judge_opt.core.results import Judgement, Scored, Unscored, Value
from judge_opt.core.values import ValueType
from judge_opt.validate.pairs import encode


def check_values(
    labels: Sequence[Sequence[Value | None]], judged: Sequence[Judgement], value_type: ValueType
) -> None:
    """Every label and every verdict is of the value type.

    Args:
        labels: columns of labels, one for each rater, with None where there is none.
        judged: the judgement of each row.

    Raises:
        DataError: one is not; its row is named.
    """
    valid: Value | None = None
    for column in labels:
        one_group = [""] * len(column)
        said: list[Judgement] = [Unscored("empty") if value is None else Scored(value) for value in column]
        encode([False if value is None else value for value in column], said, one_group, value_type)
        valid = next((value for value in column if value is not None), valid)
    own: list[Value] = [j.value if isinstance(j, Scored) else False for j in judged]
    # Beside a valid label the message says that the verdict is wrong.
    encode(own if valid is None else [valid] * len(own), judged, [""] * len(own), value_type)
