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
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, TypeVar, overload

from judge_opt.core.errors import UsageError
from judge_opt.traces.recorder import close_span, leave, make_current
from judge_opt.traces.spans import Span, SpanKind, check_name
from judge_opt.traces.traced import Reducer, Traced, start, wrap, write, write_async

F = TypeVar("F", bound=Callable[..., Any])


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
        span = start(self._name, self._span_type, self._kind, self._attributes)
        if self._inputs is not None:
            span.set_inputs(self._inputs)
        self._open.append((span, make_current(span)))
        return span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        span, token = self._open.pop()
        leave(token)
        write(span, close_span(span, error), error)

    async def __aenter__(self) -> Span:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        span, token = self._open.pop()
        leave(token)
        await write_async(span, close_span(span, error), error)


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
    return wrap(Traced(function, name, span_type, attributes, output_reducer))
