"""How a decorated function is recorded: one wrapper for each kind of function.

The wrappers hand everything on: values, exceptions, what is sent and thrown into a generator. What they add
is a span, which is current only while the function's own code runs.
"""

import inspect
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from functools import wraps
from typing import Any

from judge_opt.traces.recorder import close_span, leave, make_current, open_span
from judge_opt.traces.schema import Trace
from judge_opt.traces.spans import Span, SpanKind, check_name

Reducer = Callable[[list[Any]], Any]

CLOSED_EARLY = "judge_opt.closed_early"
"""Attribute of a generator's span: its consumer stopped before the end."""


class Traced:
    """What is known of a decorated function."""

    def __init__(
        self,
        function: Callable[..., Any],
        name: str | None,
        span_type: str | None,
        attributes: Mapping[str, Any] | None,
        reducer: Reducer | None,
    ) -> None:
        self.function = function
        self.name = check_name(name or str(getattr(function, "__name__", type(function).__name__)))
        self.span_type = span_type
        self.attributes = attributes
        self.reducer = reducer
        try:
            self.signature: inspect.Signature | None = inspect.signature(function)
        except (TypeError, ValueError):  # some builtins have none
            self.signature = None

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Span:
        span = start(self.name, self.span_type, "INTERNAL", self.attributes)
        if not span.ended:
            span.set_inputs(self.inputs(args, kwargs))
        return span

    def inputs(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Arguments by name, with defaults, without `self` and `cls`; `**kwargs` beside the others."""
        if self.signature is None:
            return {"args": list(args), **kwargs}
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError:  # the call itself will say what is wrong
            return {"args": list(args), **kwargs}
        bound.apply_defaults()
        found: dict[str, Any] = {}
        for index, (key, parameter) in enumerate(self.signature.parameters.items()):
            value = bound.arguments[key]
            if index == 0 and key in ("self", "cls"):
                continue
            if parameter.kind is parameter.VAR_KEYWORD:
                found |= value
            elif parameter.kind is not parameter.VAR_POSITIONAL or value:
                found[key] = value
        return found

    def outputs(self, span: Span, items: "_Items") -> None:
        """Records what a generator yielded."""
        if self.reducer is not None:
            try:
                span.set_outputs(self.reducer(items.kept))
                return
            except Exception as error:  # noqa: BLE001 - the user's reducer; what was yielded is recorded
                span.add_event("output_reducer failed", {"error": error})
        span.set_outputs(items.kept)
        if items.seen > len(items.kept):
            span.set_attribute("judge_opt.items_yielded", items.seen)


class _Items:
    """What a generator yielded, up to the limit."""

    def __init__(self, most: int) -> None:
        self.kept: list[Any] = []
        self.seen = 0
        self._most = most

    def add(self, item: Any) -> None:
        self.seen += 1
        if len(self.kept) < self._most:
            self.kept.append(item)


def wrap(traced: Traced) -> Any:
    function = traced.function
    call = function if inspect.isroutine(function) else type(function).__call__
    for test, make in (
        (inspect.isasyncgenfunction, _async_generator),
        (inspect.isgeneratorfunction, _generator),
        (inspect.iscoroutinefunction, _coroutine),
    ):
        if test(function) or test(call):
            return make(traced)
    return _plain(traced)


def _plain(traced: Traced) -> Any:
    function = traced.function

    @wraps(function)
    def recorded(*args: Any, **kwargs: Any) -> Any:
        span = traced.begin(args, kwargs)
        token = make_current(span)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            leave(token)
            write(span, close_span(span, error), error)
            raise
        leave(token)
        span.set_outputs(result)
        write(span, close_span(span))
        return result

    return recorded


def _coroutine(traced: Traced) -> Any:
    function = traced.function

    @wraps(function)
    async def recorded(*args: Any, **kwargs: Any) -> Any:
        span = traced.begin(args, kwargs)
        token = make_current(span)
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            leave(token)
            await write_async(span, close_span(span, error), error)
            raise
        leave(token)
        span.set_outputs(result)
        await write_async(span, close_span(span))
        return result

    return recorded


def _generator(traced: Traced) -> Any:
    function = traced.function

    @wraps(function)
    def recorded(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        span = traced.begin(args, kwargs)
        items = _Items(span.recording.limits.items)
        error: BaseException | None = None
        try:
            generator = _inside(span, function, *args, **kwargs)
            step, argument = generator.send, None
            while True:
                # The span is current only while the generator's own code runs, not its consumer's.
                try:
                    item = _inside(span, step, argument)
                except StopIteration as stop:
                    return stop.value
                items.add(item)
                try:
                    step, argument = generator.send, (yield item)
                except GeneratorExit:
                    span.set_attribute(CLOSED_EARLY, True)
                    _inside(span, generator.close)
                    raise
                except BaseException as thrown:  # noqa: BLE001 - handed on to the generator, which decides
                    step, argument = generator.throw, thrown
        except GeneratorExit:
            raise
        except BaseException as raised:
            error = raised
            raise
        finally:
            traced.outputs(span, items)
            write(span, close_span(span, error), error)

    return recorded


def _async_generator(traced: Traced) -> Any:
    function = traced.function

    @wraps(function)
    async def recorded(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        span = traced.begin(args, kwargs)
        items = _Items(span.recording.limits.items)
        error: BaseException | None = None
        closed = False
        try:
            generator = _inside(span, function, *args, **kwargs)
            step, argument = generator.asend, None
            while True:
                try:
                    item = await _inside_async(span, step, argument)
                except StopAsyncIteration:
                    return
                items.add(item)
                try:
                    step, argument = generator.asend, (yield item)
                except GeneratorExit:
                    closed = True
                    span.set_attribute(CLOSED_EARLY, True)
                    await _inside_async(span, generator.aclose)
                    raise
                except BaseException as thrown:  # noqa: BLE001 - handed on to the generator, which decides
                    step, argument = generator.athrow, thrown
        except GeneratorExit:
            raise
        except BaseException as raised:
            error = raised
            raise
        finally:
            traced.outputs(span, items)
            if closed:
                write(span, close_span(span, error), error)  # a generator that is closed may not wait
            else:
                await write_async(span, close_span(span, error), error)

    return recorded


def _inside(span: Span, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    token = make_current(span)
    try:
        return function(*args, **kwargs)
    finally:
        leave(token)


async def _inside_async(span: Span, function: Callable[..., Any], *args: Any) -> Any:
    token = make_current(span)
    try:
        return await function(*args)
    finally:
        leave(token)


def start(name: str, span_type: str | None, kind: SpanKind, attributes: Mapping[str, Any] | None) -> Span:
    from judge_opt.traces.default_store import store_here

    return open_span(name, span_type=span_type, kind=kind, attributes=attributes, store=store_here())


def write(span: Span, finished: Trace | None, error: BaseException | None = None) -> None:
    """Writes a finished trace. What the traced function raised goes before what the store raises."""
    if finished is None:
        return
    from judge_opt.traces.writer import log, writer

    try:
        writer().write(finished, span.recording.store)
    except Exception as failed:
        if error is None:
            raise
        log.error("Trace %s could not be stored: %s", finished.id, failed)


async def write_async(span: Span, finished: Trace | None, error: BaseException | None = None) -> None:
    if finished is None:
        return
    if error is not None and not isinstance(error, Exception):
        write(span, finished, error)  # a task that is cancelled, a process that stops: no more waiting
        return
    from judge_opt.traces.writer import log, writer

    try:
        await writer().write_async(finished, span.recording.store)
    except Exception as failed:
        if error is None:
            raise
        log.error("Trace %s could not be stored: %s", finished.id, failed)
