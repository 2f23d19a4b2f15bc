"""A judge's template as a DSPy signature."""

from typing import Any

import dspy

from judge_opt.judges.template import Template
from judge_opt.judges.verdict import RATIONALE, VERDICT


def signature_of(template: Template, rationale: bool) -> Any:
    """An input for each variable; the rationale, where there is one, before the verdict."""
    fields: dict[str, Any] = {v.field: (Any, dspy.InputField(desc=v.name)) for v in template.variables}
    if rationale:
        fields[RATIONALE] = (str | None, dspy.OutputField(desc="the reasons, before the verdict"))
    fields[VERDICT] = (Any, dspy.OutputField(desc="the verdict"))
    return dspy.make_signature(fields, template.text)
