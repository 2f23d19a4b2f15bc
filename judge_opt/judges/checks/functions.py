"""A function of one's own as a check.

@check
def cites_a_source(outputs: str) -> bool:
    "Does the reply name a source?"
    return "http" in outputs
"""

import inspect
from collections.abc import Callable
from typing import Any, get_args, get_origin, get_type_hints, overload

from judge_opt.core.errors import UsageError
from judge_opt.core.results import Scored, Unscored
from judge_opt.core.text import nearest
from judge_opt.core.values import ValueType
from judge_opt.judges.checks.code_check import Code, CodeCheck
from judge_opt.judges.feedback import Feedback
from judge_opt.judges.template import Template, literal
from judge_opt.labels.examples import FIELDS

_ABSENT = "(not given)"


@overload
def check(function: Code) -> CodeCheck: ...
@overload
def check(
    *, name: str | None = None, value_type: Any = None, description: str | None = None
) -> Callable[[Code], CodeCheck]: ...
def check(
    function: Code | None = None,
    *,
    name: str | None = None,
    value_type: Any = None,
    description: str | None = None,
) -> CodeCheck | Callable[[Code], CodeCheck]:
    """Make a check of a function: `@check`, or `@check(value_type=...)`.

    The function's parameters name the fields that it gets: inputs, outputs, expectations, trace,
    conversation. One with a default may be missing from an item. It returns a value, (value, rationale) or a
    `Feedback`; what it raises makes the item Unscored.

    Args:
        name: default: the function's.
        value_type: as `feedback_value_type` of `make_judge`; default: the annotation of what it returns.
        description: default: the first line of its docstring.

    Raises:
        UsageError: a parameter is no field, there is none, or the function is a coroutine.
        TemplateError: the value type is not known.
    """
    if function is None:
        return lambda code: _checked(code, name, value_type, description)
    return _checked(function, name, value_type, description)


def _checked(function: Code, name: str | None, value_type: Any, description: str | None) -> CodeCheck:
    called = name or getattr(function, "__name__", "check").strip("<>")
    if inspect.iscoroutinefunction(function):
        raise UsageError(f"The check {called!r} is a coroutine.", "Write it as a plain function.")
    parameters = list(inspect.signature(function).parameters.values())
    for parameter in parameters:
        if parameter.name not in FIELDS or parameter.kind in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            raise UsageError(
                f"The check {called!r} has a parameter {parameter.name!r}, which is no field of an item."
                f"{nearest(parameter.name, FIELDS)}",
                f"Name its parameters {', '.join(FIELDS)}, as many as it needs.",
            )
    if not parameters:
        raise UsageError(f"The check {called!r} has no parameter.", "Name what it checks, such as outputs.")
    about = description if description is not None else (inspect.getdoc(function) or "").partition("\n")[0]
    slots = [
        f"{{{{ {p.name} }}}}" if p.default is p.empty else f'{{{{ {p.name} or "{_ABSENT}" }}}}'
        for p in parameters
    ]
    template = Template.parse(f"{literal(about or called)}\n\n{' '.join(slots)}")
    optional = {p.name for p in parameters if p.default is not p.empty}
    order = [variable.name for variable in template.variables]

    def code(*values: Any) -> Any:
        given = dict(zip(order, values, strict=True))
        return function(**{k: v for k, v in given.items() if not (k in optional and v == _ABSENT)})

    declared = value_type if value_type is not None else _returned(function, called)
    return CodeCheck(called, code, template, ValueType.of(declared), description=about)


def _returned(function: Code, called: str) -> Any:
    """The value type that a function's annotation promises.

    Raises:
        UsageError: there is none, or it says nothing of the value.
    """
    try:
        returned = get_type_hints(function).get("return")
    except (NameError, TypeError):
        returned = None
    if get_origin(returned) is tuple and len(get_args(returned)) == 2:
        returned = get_args(returned)[0]
    if returned is None or returned is Any or returned in (Feedback, Scored, Unscored):
        raise UsageError(
            f"The check {called!r} does not say what its verdict may be.",
            "Annotate what it returns, for example -> bool, or use @check(value_type=...).",
        )
    return returned
