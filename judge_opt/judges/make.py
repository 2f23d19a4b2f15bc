"""`make_judge`: one template in, one judge out; every mistake is found here, before any call."""

import re
from typing import Any

from judge_opt.core.errors import TemplateError, UsageError
from judge_opt.core.values import ValueType
from judge_opt.judges.judge import Judge
from judge_opt.judges.template import Template
from judge_opt.llm.local_models import DEFAULT_MODEL
from judge_opt.llm.uri import ModelURI

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
) -> Judge:
    """Make a judge from an instruction template. The names are MLflow's.

    Args:
        name: letters, digits, blank, `._-`; at most 100. People's labels carry the same name.
        instructions: names what is judged as `{{ inputs }}`, `{{ outputs }}`, `{{ expectations }}`,
            `{{ trace }}`, `{{ conversation }}`, or a path such as `{{ inputs.question }}`.
        model: `provider:/model`; `local:/smollm2` is the embedded default.
        feedback_value_type: bool, str, int, float, `Literal[...]`, `categories(...)`, `ordered(...)` or
            `scale(low, high)`.
        inference_params: temperature, max_tokens and so on, as the endpoint takes them.
        base_url: of an OpenAI-compatible endpoint.
        extra_headers: sent with each request; never stored with the judge's version.
        generate_rationale_first: ask for reasons before the verdict. None: yes, except of the packaged
            local models, whose reasons are not worth their time.
        description: one line for people.

    Raises:
        UsageError: the name, the URI or a parameter is wrong.
        TemplateError: the template or the value type is wrong.
    """
    if not _NAME.match(name):
        raise UsageError(
            f"{name[:60]!r} cannot name a judge.", "Use letters, digits, blank, '.', '_' or '-'; at most 100."
        )
    uri = ModelURI.parse(model)
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
    if extra_headers:
        params["extra_headers"] = dict(extra_headers)
    rationale = generate_rationale_first
    if rationale is None:
        rationale = uri.provider != "local" and value_type.kind != "text"
    return Judge(
        name,
        Template.parse(instructions),
        value_type,
        model,
        base_url=base_url,
        params=params,
        rationale=rationale,
        description=description,
    )
