"""`make_judge`: one template in, one judge out; every mistake is found here, before any call."""

import re
from typing import Any, Literal

from judge_opt.core.errors import TemplateError, UsageError
from judge_opt.core.text import nearest
from judge_opt.core.values import ValueType
from judge_opt.judges.judge import Judge
from judge_opt.judges.options import AskOptions
from judge_opt.judges.template import Template
from judge_opt.llm.local_models import DEFAULT_MODEL
from judge_opt.llm.uri import ModelURI, endpoint_of, read_address

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}$")


def make_judge(
    name: str,
    instructions: str,
    model: str = f"local:/{DEFAULT_MODEL}",
    feedback_value_type: Any = bool,
    inference_params: dict[str, Any] | None = None,
    base_url: str | None = None,
    extra_headers: dict[str, str] | None = None,
    generate_rationale_first: bool | None = None,
    description: str = "",
    *,
    samples: int = 1,
    repair: bool = True,
    position_swap: bool | tuple[str, str] = False,
    view_tokens: int = 4000,
    trace_mode: Literal["view", "agent"] = "view",
    max_steps: int = 8,
) -> Judge:
    """Make a judge from an instruction template. The names are MLflow's.

    Args:
        name: letters, digits, blank, `._-`; at most 100. People's labels carry the same name.
        instructions: names what is judged as `{{ inputs }}`, `{{ outputs }}`, `{{ expectations }}`,
            `{{ trace }}`, `{{ conversation }}`, or a path such as `{{ inputs.question }}`.
        model: `provider:/model`; `local:/smollm2` is the embedded default.
        feedback_value_type: bool, str, int, float, `Literal[...]`, an Enum, `categories(...)`,
            `ordered(...)`, `scale(low, high)`, `interval(low, high)`, `preference(a, b, tie=...)`,
            `dict[...]` or `list[...]` of primitives, a pydantic model; any of them `| None`, where "not
            applicable" is a value too.
        inference_params: temperature, max_tokens and so on, as the endpoint takes them.
        base_url: of an OpenAI-compatible endpoint.
        extra_headers: sent with each request; never stored with the judge's version.
        generate_rationale_first: ask for reasons before the verdict. None: yes, except of the packaged
            local models, whose reasons are not worth their time.
        description: one line for people.
        samples: judge each item so many times, each a call of its own; the share of the verdict that wins is
            the confidence. The temperature is then 1 unless `inference_params` says otherwise.
        repair: ask once more where a reply holds no verdict that can be read.
        position_swap: judge a preference in both orders; a verdict that turns with the order is a tie, or
            no verdict where ties are not allowed. True exchanges the two variables under `outputs`; else
            name the two.
        view_tokens: room for a whole `{{ trace }}` or `{{ conversation }}`, in estimated tokens.
        trace_mode: "view" shows a trace as one text; "agent" lets the judge look into it with tools, for
            traces that do not fit.
        max_steps: the agent's bound.

    Raises:
        UsageError: the name, the URI, the address or a parameter is wrong.
        TemplateError: the template or the value type is wrong.
    """
    check_name(name)
    uri = ModelURI.parse(model)
    if (address := endpoint_of(uri, base_url)) is not None:
        read_address(address)
    value_type = ValueType.of(feedback_value_type)
    if value_type.kind == "text" and generate_rationale_first:
        raise TemplateError(
            "A judge whose value is text has no rationale besides.", "Drop generate_rationale_first."
        )
    params = dict(inference_params or {})
    if forbidden := {"messages", "model", "response_format", "n", "stream", "api_key"} & params.keys():
        raise UsageError(
            f"inference_params may not hold {sorted(forbidden)}.",
            "The judge sets these; keys come from the environment.",
        )
    if samples > 1 and not params.get("temperature", 1.0):
        raise UsageError(
            f"samples={samples} at temperature 0 are one sample.", "Give a temperature, or leave it out."
        )
    if samples > 1 and value_type.scale == "free":
        raise TemplateError(
            f"Samples of {value_type.kind} values have no majority.",
            "Use samples=1, or values to choose from.",
        )
    if extra_headers:
        params["extra_headers"] = dict(extra_headers)
    rationale = generate_rationale_first
    if rationale is None:
        rationale = uri.provider != "local" and value_type.kind != "text"
    template = Template.parse(instructions)
    swap = _swapped(position_swap, template, value_type)
    made: dict[str, Any] = {
        "base_url": base_url,
        "params": params,
        "rationale": rationale,
        "description": description,
        "options": AskOptions(samples, repair, swap, view_tokens),
    }
    if trace_mode == "agent":
        if not any(variable.name == "trace" for variable in template.variables):
            raise TemplateError("An agent looks into a trace.", "Name {{ trace }} in the instructions.")
        from judge_opt.judges.agentic import AgenticJudge

        return AgenticJudge(name, template, value_type, model, max_steps=max_steps, **made)
    if trace_mode != "view":
        raise UsageError(f"trace_mode={trace_mode!r} is not known.", 'Use "view" or "agent".')
    return Judge(name, template, value_type, model, **made)


def check_name(name: str) -> None:
    """Raises:
    UsageError: this cannot name a judge.
    """
    if not _NAME.match(name):
        raise UsageError(
            f"{name[:60]!r} cannot name a judge.", "Use letters, digits, blank, '.', '_' or '-'; at most 100."
        )


def _swapped(
    asked: bool | tuple[str, str], template: Template, value_type: ValueType
) -> tuple[str, str] | None:
    """The two variables to exchange.

    Raises:
        TemplateError: there is nothing to exchange, or more than one way to do it.
    """
    if asked is False:
        return None
    if value_type.kind != "pairwise":
        raise TemplateError(
            "Only a preference has two positions to swap.", "Use feedback_value_type=preference(a, b)."
        )
    known = [variable.name for variable in template.variables]
    if asked is True:
        found = [variable.name for variable in template.variables if variable.root == "outputs"]
        if len(found) != 2:
            raise TemplateError(
                f"position_swap=True exchanges the two variables under outputs; there are {len(found)}.",
                'Name two, such as position_swap=("outputs.a", "outputs.b").',
            )
        return found[0], found[1]
    one, other = asked
    for name in (one, other):
        if name not in known:
            raise TemplateError(
                f"position_swap names {name!r}, which the template does not.{nearest(name, known)}",
                f"Use two of: {', '.join(known)}.",
            )
    return one, other
