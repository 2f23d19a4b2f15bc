"""Recording runs: `@trace` for functions, `start_span` for blocks.

    @judge_opt.trace
    def answer(question: str) -> str:
        with judge_opt.start_span("search", span_type="RETRIEVER") as span:
            span.set_inputs({"query": question})
            found = search(question)
            span.set_outputs(found)
        return ask_model(question, found)

    answer("Where is my parcel?")
    trace = judge_opt.get_trace(judge_opt.get_last_active_trace_id())

A function that is traced inside another is a span of its trace. The outermost one is the trace: its
arguments are the trace's inputs and what it returns are its outputs, and when it has returned the trace is
in the store. An exception is recorded and raised again. A generator's span ends when the generator ends or
is closed, and its outputs are what it yielded.

Recording never changes what the traced function does, whatever its arguments are (see `as_json`).
"""

import inspect
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from functools import wraps
from types import TracebackType
from typing import Any, TypeVar, overload

from judge_opt.core.errors import UsageError
from judge_opt.traces.recorder import close_span, leave, make_current, open_span
from judge_opt.traces.schema import Trace
from judge_opt.traces.spans import Span, SpanKind, check_name

F = TypeVar("F", bound=Callable[..., Any])
Reducer = Callable[[list[Any]], Any]

CLOSED_EARLY = "judge_opt.closed_early"
"""Attribute of a generator's span: its consumer stopped before the end."""


class start_span:  # noqa: N801 - a function to its users, as in MLflow and OpenTelemetry
    """A block as a span: `with start_span("name") as span`, or `async with`.

    Args:
        name: what the step is called.
        span_type: LLM, TOOL, RETRIEVER, AGENT, CHAIN, EMBEDDING, RERANKER, GUARDRAIL, or your own word.
        kind: OpenTelemetry's span kind.
        attributes: text to any value.
        inputs: the step's input, where it is known already.
    """

    def __init__(
        self,
        name: str = "span",
        span_type: str | None = None,
        *,
        kind: SpanKind = "INTERNAL",
        attributes: Mapping[str, Any] | None = None,
        inputs: Any = None,
    ) -> None:
        self._name = check_name(name)
        self._span_type = span_type
        self._kind: SpanKind = kind
        self._attributes = attributes
        self._inputs = inputs
        self._open: list[tuple[Span, Any]] = []  # one object may be entered again

    def __enter__(self) -> Span:
        span = _start(self._name, self._span_type, self._kind, self._attributes)
        if self._inputs is not None:
            span.set_inputs(self._inputs)
        self._open.append((span, make_current(span)))
        return span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        span, token = self._open.pop()
        leave(token)
        _write(span, close_span(span, error), error)

    async def __aenter__(self) -> Span:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        span, token = self._open.pop()
        leave(token)
        await _write_async(span, close_span(span, error), error)


@overload
def trace(
    function: F,
    *,
    name: str | None = None,
    span_type: str | None = None,
    attributes: Mapping[str, Any] | None = None,
    output_reducer: Reducer | None = None,
) -> F: ...
@overload
def trace(
    function: None = None,
    *,
    name: str | None = None,
    span_type: str | None = None,
    attributes: Mapping[str, Any] | None = None,
    output_reducer: Reducer | None = None,
) -> Callable[[F], F]: ...
def trace(
    function: Any = None,
    *,
    name: str | None = None,
    span_type: str | None = None,
    attributes: Mapping[str, Any] | None = None,
    output_reducer: Reducer | None = None,
) -> Any:
    """Records each call of a function, coroutine function, generator or asynchronous generator.

    Used bare, with arguments, or as a call on a function: `traced = trace(function, name="step")`.

    Args:
        name: of the span; default: the function's.
        span_type: see `start_span`.
        attributes: recorded with each call.
        output_reducer: for generators, from the list of what was yielded to the output; where it raises,
            the list is recorded.

    Raises:
        UsageError: what is decorated is a class, or cannot be called.
    """
    if function is None:
        return lambda decorated: trace(
            decorated, name=name, span_type=span_type, attributes=attributes, output_reducer=output_reducer
        )
    if isinstance(function, (staticmethod, classmethod)):
        inner = trace(
            function.__func__,
            name=name,
            span_type=span_type,
            attributes=attributes,
            output_reducer=output_reducer,
        )
        return type(function)(inner)
    if inspect.isclass(function) or not callable(function):
        raise UsageError(
            f"{function!r:.60} cannot be traced.", "Decorate a function or a method, not a class or a value."
        )
    return _wrap(_Traced(function, name, span_type, attributes, output_reducer))


class _Traced:
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

    def start(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Span:
        span = _start(self.name, self.span_type, "INTERNAL", self.attributes)
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


def _wrap(traced: _Traced) -> Any:
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


def _plain(traced: _Traced) -> Any:
    function = traced.function

    @wraps(function)
    def recorded(*args: Any, **kwargs: Any) -> Any:
        span = traced.start(args, kwargs)
        token = make_current(span)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            leave(token)
            _write(span, close_span(span, error), error)
            raise
        leave(token)
        span.set_outputs(result)
        _write(span, close_span(span))
        return result

    return recorded


def _coroutine(traced: _Traced) -> Any:
    function = traced.function

    @wraps(function)
    async def recorded(*args: Any, **kwargs: Any) -> Any:
        span = traced.start(args, kwargs)
        token = make_current(span)
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            leave(token)
            await _write_async(span, close_span(span, error), error)
            raise
        leave(token)
        span.set_outputs(result)
        await _write_async(span, close_span(span))
        return result

    return recorded


def _generator(traced: _Traced) -> Any:
    function = traced.function

    @wraps(function)
    def recorded(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        span = traced.start(args, kwargs)
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
            _write(span, close_span(span, error), error)

    return recorded


def _async_generator(traced: _Traced) -> Any:
    function = traced.function

    @wraps(function)
    async def recorded(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        span = traced.start(args, kwargs)
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
                _write(span, close_span(span, error), error)  # a generator that is closed may not wait
            else:
                await _write_async(span, close_span(span, error), error)

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


def _start(name: str, span_type: str | None, kind: SpanKind, attributes: Mapping[str, Any] | None) -> Span:
    from judge_opt.traces.default_store import store_here

    return open_span(name, span_type=span_type, kind=kind, attributes=attributes, store=store_here())


def _write(span: Span, finished: Trace | None, error: BaseException | None = None) -> None:
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


async def _write_async(span: Span, finished: Trace | None, error: BaseException | None = None) -> None:
    if finished is None:
        return
    if error is not None and not isinstance(error, Exception):
        _write(span, finished, error)  # a task that is cancelled, a process that stops: no more waiting
        return
    from judge_opt.traces.writer import log, writer

    try:
        await writer().write_async(finished, span.recording.store)
    except Exception as failed:
        if error is None:
            raise
        log.error("Trace %s could not be stored: %s", finished.id, failed)
