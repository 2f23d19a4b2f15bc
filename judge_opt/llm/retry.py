"""When a failed attempt is made again, and how long to wait first.

One owner: DSPy's `num_retries` and LiteLLM's are 0, and no backend retries by itself.
"""

import random
import threading
import time
from contextvars import ContextVar
from dataclasses import dataclass

from dspy import lm15

cancelled: ContextVar[threading.Event | None] = ContextVar("judge_opt_cancelled", default=None)
"""Set while rows are judged in parallel: no retry is begun once the event is set."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Bounds of one call.

    Attributes:
        attempts: requests at most.
        first_wait, longest_wait: seconds; doubled after each attempt, with up to 25 % of jitter added.
        timeout: seconds for one attempt.
        deadline: seconds for the call with all its attempts and waits. A Retry-After that ends after it
            ends the call at once.
    """

    attempts: int = 6
    first_wait: float = 0.5
    longest_wait: float = 30.0
    timeout: float = 120.0
    deadline: float = 600.0

    def wait_after(self, error: BaseException, attempt: int, key: str, ends: float) -> float | None:
        """Seconds to wait before the next attempt; None where there is none.

        Args:
            error: how the attempt failed.
            attempt: its number, from 1.
            key: the request's content address: the jitter comes from it, so that a run repeats itself.
            ends: `time.monotonic()` of the call's deadline.
        """
        if attempt >= self.attempts or told_to_stop():
            return None
        if learnt(error):
            wait = 0.0
        elif is_transient(error):
            jitter = 1 + 0.25 * random.Random(f"{key}:{attempt}").random()
            wait = min(self.first_wait * 2 ** (attempt - 1), self.longest_wait) * jitter
            if (asked := getattr(error, "retry_after", None)) is not None:
                wait = max(wait, float(asked))
        else:
            return None
        return None if time.monotonic() + wait >= ends else wait


def told_to_stop() -> bool:
    """True where rows are judged in parallel and no further attempt is to be begun."""
    event = cancelled.get()
    return event is not None and event.is_set()


def sleep(seconds: float) -> None:
    """Wait, or less where the rows are stopped."""
    event = cancelled.get()
    if event is None:
        time.sleep(seconds)
    else:
        event.wait(seconds)


def is_transient(error: BaseException) -> bool:
    """True for 408, 429, 5xx, time-outs and lost connections. Quota that is used up is a BillingError,
    which is not."""
    return isinstance(error, lm15.RETRYABLE_ERRORS)


def learnt(error: BaseException) -> bool:
    """True where the backend has just learnt to leave a setting out, so that asking again can work."""
    return isinstance(error, lm15.UnsupportedFeatureError) and error.feature is not None
