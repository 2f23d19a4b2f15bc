"""Running the agent whose outputs are judged: sync or async, and its failures are its row's only."""

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from judge_opt.core.errors import BudgetExceeded, DataError, IntegrityError, ModelError, UsageError
from judge_opt.evaluation.plain import plain
from judge_opt.evaluation.rows import Row
from judge_opt.llm.errors import is_fatal, unwrap
from judge_opt.llm.session import calls_for
from judge_opt.traces.recorder import settings, update_current_trace
from judge_opt.traces.schema import MAX_NAME
from judge_opt.traces.tracing import start_span

_STOPS = (BudgetExceeded, ModelError, IntegrityError)
"""What every further call of a model would meet too."""


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of an agent.

    Attributes:
        outputs: a JSON value; None where it failed.
        error: why it failed, in one line; None where it did not.
        trace_id: of its recorded trace; None where none was recorded.
    """

    outputs: Any
    error: str | None
    trace_id: str | None


class Agent:
    """A `predict_fn`: called as `predict_fn(**inputs)`, or `predict_fn(inputs)` where the inputs are no
    object.

    Coroutine functions run in one event loop on a thread of its own, so that clients which belong to a loop
    keep working from row to row.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        if not callable(function):
            raise UsageError(f"predict_fn is a {type(function).__name__}.", "Pass a function.")
        self.function = function
        self.name = str(getattr(function, "__qualname__", type(function).__qualname__))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    def check(self, row: Row) -> None:
        """Find out before anything is bought whether the function can be called with a row's inputs.

        Raises:
            UsageError: it cannot; the message names the parameter.
        """
        if "inputs" not in row.fields:
            raise UsageError(f"Row {row.id!r} has no inputs for predict_fn.", "Give every row inputs.")
        try:
            signature = inspect.signature(self.function)
        except (TypeError, ValueError):
            return  # built in: nothing is known of it
        inputs = row.fields["inputs"]
        try:
            signature.bind(**inputs) if isinstance(inputs, Mapping) else signature.bind(inputs)
        except TypeError as error:
            keys = f" (keys: {', '.join(inputs)})" if isinstance(inputs, Mapping) else ""
            raise UsageError(
                f"predict_fn cannot be called with the inputs of row {row.id!r}{keys}: {error}.",
                "Name its parameters like the keys of inputs, or take **inputs.",
            ) from None

    def run(self, row: Row, run_id: str = "") -> Ran:
        """Run it on a row. Where traces are recorded, the run is one, with what the function itself traces
        as its steps.

        Raises:
            JudgeOptError: the run must stop: the budget is used up, or the model cannot be asked at all.
        """
        trace_id = None
        try:
            if run_id and settings().enabled:
                with start_span(self.name, "AGENT", inputs=row.fields.get("inputs")) as span:
                    facts = {"evaluation": run_id, "row": row.id}
                    update_current_trace(metadata=facts, session=row.session and row.session[:MAX_NAME])
                    trace_id = span.trace_id
                    made = self._call(row)
                    span.set_outputs(made)
            else:
                made = self._call(row)
            return Ran(plain(made, "the output"), None, trace_id)
        except DataError as error:
            return Ran(None, error.message, trace_id)
        except Exception as error:
            known = unwrap(error)
            if isinstance(known, _STOPS) and is_fatal(error):
                raise known from error
            return Ran(None, f"{type(error).__name__}: {str(error)[:300]}".rstrip(": "), trace_id)

    def _call(self, row: Row) -> Any:
        inputs = row.fields.get("inputs")
        with calls_for("agent"):
            made = self.function(**inputs) if isinstance(inputs, Mapping) else self.function(inputs)
            return self._awaited(made) if inspect.isawaitable(made) else made

    def close(self) -> None:
        """End the event loop, if there was one."""
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._loop = None

    def _awaited(self, made: Any) -> Any:
        """The result of an awaitable, in the context of this thread: budget and session hold inside it."""
        loop, context, done = self._running(), contextvars.copy_context(), threading.Event()
        tasks: list[asyncio.Task[Any]] = []

        async def body() -> Any:
            return await made

        def begin() -> None:
            task = loop.create_task(body(), context=context)
            tasks.append(task)
            task.add_done_callback(lambda _: done.set())

        loop.call_soon_threadsafe(begin)
        done.wait()
        return tasks[0].result()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(
                    target=_serve, args=(self._loop,), name="judge-opt-agent", daemon=True
                ).start()
            return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
