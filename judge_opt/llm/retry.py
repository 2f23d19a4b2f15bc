"""When a failed attempt is made again, and how long to wait first.

One owner: DSPy's `num_retries` and LiteLLM's are 0, and no backend retries by itself.
"""

import random
import threading
import time
from contextvars import ContextVar
from dataclasses import dataclass

import tenacity
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


def is_transient(error: BaseException) -> bool:
    """True for 408, 429, 5xx, time-outs and lost connections. Quota that is used up is a BillingError,
    which is not."""
    return isinstance(error, lm15.RETRYABLE_ERRORS)


def learnt(error: BaseException) -> bool:
    """True where the backend has just learnt to leave a setting out, so that asking again can work."""
    return isinstance(error, lm15.UnsupportedFeatureError) and error.feature is not None


def retrying(policy: RetryPolicy, key: str, ends: float) -> tenacity.Retrying:
    """The attempts of one call. The jitter comes from `key`, so that a run repeats itself.

    Args:
        policy: the bounds.
        key: the request's content address.
        ends: `time.monotonic()` of the call's deadline.
    """

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if error is None or learnt(error):
            return 0.0
        jitter = 1 + 0.25 * random.Random(f"{key}:{state.attempt_number}").random()
        backoff: float = (
            min(policy.first_wait * 2 ** (state.attempt_number - 1), policy.longest_wait) * jitter
        )
        asked = getattr(error, "retry_after", None)
        return max(backoff, float(asked)) if asked is not None else backoff

    def stop(state: tenacity.RetryCallState) -> bool:
        event = cancelled.get()
        return (
            state.attempt_number >= policy.attempts
            or (event is not None and event.is_set())
            or time.monotonic() + state.upcoming_sleep >= ends
        )

    def sleep(seconds: float) -> None:
        event = cancelled.get()
        if event is None:
            time.sleep(seconds)
        else:
            event.wait(seconds)

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: is_transient(error) or learnt(error)),
        wait=wait,
        stop=stop,
        sleep=sleep,
        reraise=True,
    )
