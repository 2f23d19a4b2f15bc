"""One call of a reflection LM: a prompt file with its slots filled, and a reply in JSON."""

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from dspy.lm15 import Config, Message, Request

from judge_opt.core.errors import ModelError
from judge_opt.core.text import encodable
from judge_opt.llm.errors import is_fatal

_SLOT = re.compile(r"\[\[(\w+)\]\]")


class Unanswered(ModelError):
    """The call failed; the endpoint as such can be used."""


def filled(name: str, values: Mapping[str, str]) -> str:
    """A prompt file with its slots filled in one pass: slots inside values stay what they are."""
    text = files("judge_opt.memory").joinpath(f"prompts/{name}.md").read_text(encoding="utf-8")
    return _SLOT.sub(lambda match: values.get(match[1], match[0]), text)


def reflect(lm: Any, prompt: str, name: str, schema: Mapping[str, Any], *, max_tokens: int, seed: int) -> str:
    """The reply's text.

    Args:
        lm: the reflection `dspy.LM`.
        name, schema: of the JSON that is asked for.

    Raises:
        Unanswered: this call failed.
        JudgeOptError: the endpoint cannot be used at all.
    """
    form = {"type": "json_schema", "name": name, "schema": dict(schema), "strict": True}
    try:
        response = lm(
            Request(
                model=lm.model,
                messages=(Message.user(encodable(prompt)),),
                config=Config(
                    max_tokens=max_tokens,
                    temperature=lm.kwargs.get("temperature"),
                    seed=seed,
                    response_format=form,
                ),
            )
        )
    except Exception as error:
        if is_fatal(error):
            raise
        raise Unanswered(
            f"a reflection call failed ({str(error)[:120]})", "Run it again; what was answered is kept."
        ) from error
    return str(response.message.text or "")
