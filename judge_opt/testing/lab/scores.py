"""What a score tells of the right label: a score of 1 confirms the model's, of two labels 0 leaves the other."""

import re
from collections.abc import Sequence

_SCORE = re.compile(
    r"\b\w*(?:score|reward|metric)(?:[ _]\w+)?\b(?:\W|\b(?:of|is|was|value)\b){1,12}"
    r"(?P<value>true|false|[01](?:\.0+)?)\b",
    re.IGNORECASE,
)


def right_label(text: str, said: str, scale: Sequence[str]) -> list[str]:
    """The label that the first score in `text` implies where the model said `said`; empty where none does."""
    found = _SCORE.search(text)
    if found is None or said not in scale:
        return []
    if found["value"].lower() in ("true", "1") or found["value"].startswith("1."):
        return [said]
    return [label for label in scale if label != said] if len(scale) == 2 else []
