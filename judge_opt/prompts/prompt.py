"""A version of a prompt, as it is in the registry."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from judge_opt.core.errors import UsageError
from judge_opt.prompts.template import Template, render, texts_of, variables_of
from judge_opt.registry.names import check_alias, check_name

SCHEME = "prompts:/"
_URI = re.compile(r"prompts:/+(?P<name>[^/@]+)(?:/(?P<version>[^/@]+)|@(?P<alias>[^/@]+))?")


@dataclass(frozen=True, slots=True)
class Prompt:
    """One version of a prompt.

    Attributes:
        template: the text, or the messages of a chat.
        version: 1, 2, 3, ...
        commit_message: why it was registered; "" where nothing was said.
        tags, aliases: as they were when it was loaded.
        lineage: where it came from, JSON.
        content_hash: of the template.
    """

    name: str
    version: int
    template: Template
    commit_message: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    lineage: Mapping[str, Any] = field(default_factory=dict)
    content_hash: str = ""

    @property
    def uri(self) -> str:
        """ "prompts:/name/version"."""
        return f"{SCHEME}{self.name}/{self.version}"

    @property
    def is_text_prompt(self) -> bool:
        """False for a chat."""
        return isinstance(self.template, str)

    @property
    def variables(self) -> frozenset[str]:
        """The names that `format` wants."""
        return variables_of(*texts_of(self.template))

    def format(self, **variables: Any) -> Any:
        """The text, or the list of messages, with its variables filled in. A value's braces stay what they
        are; a value that is no text is written as JSON. While `optimize_prompts` runs an agent, the text is
        the candidate's, also where the prompt was loaded before.

        Raises:
            UsageError: a variable is missing, or one is unknown; names it.
        """
        from judge_opt.prompts.loading import shown

        return render(shown(self).template, variables, f"The prompt {self.name!r} version {self.version}")

    def with_template(self, template: Template) -> "Prompt":
        """This version with another template, as a candidate has it; it is in no registry."""
        return replace(self, template=template)


def parse_reference(reference: str) -> tuple[str, int | str | None]:
    """(name, version number, alias or None for the latest) of a name or a `prompts:/` URI.

    Raises:
        UsageError: it is neither.
    """
    if not isinstance(reference, str) or not reference.startswith(SCHEME):
        return check_name(reference, "prompt name"), None
    match = _URI.fullmatch(reference)
    if match is None:
        raise UsageError(
            f"{reference[:80]!r} is no address of a prompt.",
            "Write prompts:/name, prompts:/name/3 or prompts:/name@alias.",
        )
    name = check_name(match["name"], "prompt name")
    if match["alias"] is not None:
        return name, match["alias"] if match["alias"] == "latest" else check_alias(match["alias"])
    version = match["version"]
    if version is None or version == "latest":
        return name, None
    if not (version.isascii() and version.isdigit()):
        raise UsageError(
            f"{reference[:80]!r}: {version[:40]!r} is no version number.",
            f"Write prompts:/{name}/3, or prompts:/{name}@{version} for an alias.",
        )
    return name, int(version)
