"""Stops a run whose every call fails, after a bounded number of calls and not after all of them.

Optimizers of DSPy swallow the errors of single rows, so an error alone does not stop them: 3,552 calls
with nothing answered were seen to end in a score of 0.0. Once the circuit is open, calls are refused
without being sent.
"""

import threading
import time

from judge_opt.core.errors import EndpointUnreachable, JudgeOptError


class Circuit:
    """Counts failures in a row of one model. Any success closes it.

    Args:
        refusals: final refusals in a row (401, 402, 403, 404) that open it.
        outages: calls in a row that failed after every retry that open it.
        rest: seconds after which one call is let through to see whether the endpoint is back.
    """

    def __init__(self, refusals: int = 3, outages: int = 10, rest: float = 30.0) -> None:
        self.refusals = refusals
        self.outages = outages
        self.rest = rest
        self._lock = threading.Lock()
        self._refused = 0
        self._failed = 0
        self._succeeded = False
        self._open: JudgeOptError | None = None
        self._until = 0.0

    def check(self) -> JudgeOptError | None:
        """The error to raise instead of sending a call, or None."""
        if self._open is None:
            return None
        with self._lock:
            if self._open is None or time.monotonic() >= self._until:
                self._until = time.monotonic() + self.rest
                return None
            return self._open

    def succeeded(self) -> None:
        """A call was answered."""
        if self._refused or self._failed or not self._succeeded:
            with self._lock:
                self._refused = self._failed = 0
                self._succeeded = True
                self._open = None

    def refused(self, error: JudgeOptError) -> bool:
        """A call was refused for good. True where the run must stop: nothing was ever answered, or too
        many refusals came in a row. A single 403 among answers can be one moderated row."""
        with self._lock:
            self._refused += 1
            if self._refused >= self.refusals:
                self._trip(error)
            return not self._succeeded or self._open is not None

    def failed(self, model: str, why: str) -> None:
        """A call failed after every retry."""
        with self._lock:
            self._failed += 1
            if self._failed >= self.outages:
                self._trip(
                    EndpointUnreachable(
                        f"{model}: {self._failed} calls in a row failed after every retry, the last: {why}",
                        "Check the endpoint and run again: calls that were bought are not bought twice.",
                    )
                )

    def _trip(self, error: JudgeOptError) -> None:
        self._open = error
        self._until = time.monotonic() + self.rest
