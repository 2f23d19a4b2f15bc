"""What a built-in judge is: a prompt in a text file, and a call that makes an ordinary `Judge` of it.

    Correctness(model="openai:/gpt-4o-mini")      # a Judge like any other: align, register, batch, compile it

Nothing of a judge that was made here remembers that it is built in. Its template is stored with it, so that
a later version of judge_opt with another wording loads it as it was.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import Any

from judge_opt.core.errors import UsageError
from judge_opt.core.hashing import content_hash
from judge_opt.core.values import ValueType, categories
from judge_opt.judges.judge import Judge
from judge_opt.judges.make import make_judge
from judge_opt.judges.template import literal
from judge_opt.llm.local_models import DEFAULT_MODEL

YES_NO = categories("yes", "no")
MODEL = f"local:/{DEFAULT_MODEL}"
_HEADER = re.compile(r"\A<!--.*?-->\s*", re.DOTALL)
_SLOT = re.compile(r"\[\[(\w+)\]\]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@lru_cache(maxsize=64)
def prompt_file(name: str) -> str:
    """The text of `prompts/<name>.md` without its header comment."""
    text = files("judge_opt.judges.builtin").joinpath(f"prompts/{name}.md").read_text(encoding="utf-8")
    return _HEADER.sub("", text).strip()


def fill(prompt: str, slots: dict[str, str]) -> str:
    """The prompt with its `[[slots]]` filled in one pass; what fills them is never read as a template."""
    return _SLOT.sub(lambda match: literal(slots[match[1]]), prompt)


@dataclass(frozen=True)
class BuiltIn:
    """One built-in judge, before it is made.

    Attributes:
        title: the name that it is imported by, for example "Correctness"; MLflow's.
        name: the made judge's name, for example "correctness".
        description: one line for people.
        value_type: what its verdict may be.
    """

    title: str
    name: str
    description: str
    value_type: ValueType = YES_NO

    @property
    def prompt(self) -> str:
        """The instructions as they stand in the file, `[[slots]]` not yet filled."""
        return prompt_file(self.name)

    @cached_property
    def version(self) -> str:
        """Content hash of the prompt and the value type, 12 hex digits: changes with the wording."""
        return content_hash([self.prompt, self.value_type.to_json()])[:12]

    def _make(self, name: str | None, model: str, slots: dict[str, str], **options: Any) -> Judge:
        return make_judge(
            self.name if name is None else name,
            fill(self.prompt, slots),
            model,
            self.value_type,
            description=options.pop("description") or self.description,
            **options,
        )


@dataclass(frozen=True)
class PlainBuiltIn(BuiltIn):
    """A built-in judge without parameters of its own."""

    def __call__(
        self,
        name: str | None = None,
        model: str = MODEL,
        *,
        inference_params: dict[str, Any] | None = None,
        base_url: str | None = None,
        extra_headers: dict[str, str] | None = None,
        generate_rationale_first: bool | None = None,
        description: str | None = None,
    ) -> Judge:
        """Make the judge. See `make_judge` for the arguments and what they raise.

        Args:
            name: default: the built-in's own name.
        """
        return self._make(
            name,
            model,
            {},
            inference_params=inference_params,
            base_url=base_url,
            extra_headers=extra_headers,
            generate_rationale_first=generate_rationale_first,
            description=description,
        )


@dataclass(frozen=True)
class GuidelinesBuiltIn(BuiltIn):
    """A built-in judge whose rules are given when it is made."""

    def __call__(
        self,
        guidelines: str | Sequence[str] = (),
        name: str | None = None,
        model: str = MODEL,
        *,
        inference_params: dict[str, Any] | None = None,
        base_url: str | None = None,
        extra_headers: dict[str, str] | None = None,
        generate_rationale_first: bool | None = None,
        description: str | None = None,
    ) -> Judge:
        """Make the judge. See `make_judge` for the other arguments and what they raise.

        Args:
            guidelines: one rule or several. They become part of the judge's instructions as plain text:
                braces in them are no template variables. They are needed: the default is refused.
            name: default: the built-in's own name.

        Raises:
            UsageError: there is no rule, or one of them is empty or no text.
        """
        return self._make(
            name,
            model,
            {"guidelines": numbered(guidelines, self.title)},
            inference_params=inference_params,
            base_url=base_url,
            extra_headers=extra_headers,
            generate_rationale_first=generate_rationale_first,
            description=description,
        )


def numbered(guidelines: str | Sequence[str], title: str) -> str:
    """Rules as one numbered list; further lines of a rule are indented, so that a rule stays one item and
    cannot pass for a paragraph of the prompt.

    Raises:
        UsageError: there is no rule, or one of them is empty or no text.
    """
    rules = (
        list(guidelines)
        if isinstance(guidelines, Iterable) and not isinstance(guidelines, str)
        else [guidelines]
    )
    written = [_lines(rule) if isinstance(rule, str) else [] for rule in rules]
    if not written or not all(written):
        raise UsageError(
            f"{title} needs at least one guideline, each a text that is not empty; got {guidelines!r:.80}.",
            'Pass guidelines="..." or guidelines=["...", "..."].',
        )
    return "\n".join(
        line
        for number, (first, *more) in enumerate(written, 1)
        for line in (f"R{number}. {first}", *(f"    {one}" for one in more))
    )


def _lines(rule: str) -> list[str]:
    """The lines of a rule that hold anything, without control characters."""
    return [line.strip() for line in _CONTROL.sub(" ", rule).splitlines() if line.strip()]
