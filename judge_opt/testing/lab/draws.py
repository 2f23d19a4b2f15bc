"""Random numbers that are a function of what they are about, so that order and threads change nothing."""

import hashlib
import json
import random
from typing import Any


def stream(*about: Any) -> random.Random:
    """A generator seeded by the JSON values in `about`."""
    text = json.dumps(about, ensure_ascii=True, sort_keys=True, default=str)
    return random.Random(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]))


def chance(probability: float, *about: Any) -> bool:
    """True with this probability; the same for the same `about`."""
    return stream(*about).random() < probability
