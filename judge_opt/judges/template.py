"""Instruction templates: `{{ inputs }}`, `{{ outputs.reply }}`. Parsed once, never evaluated.

A variable names a part of the item that the judge sees. In the prompt the instructions keep the
variable's name and the item's parts follow under those names, so that the instructions are the same
bytes for every item (providers cache such a prefix), and no text of an item is ever read as a template.
"""

import re
from dataclasses import dataclass
from typing import Any

from judge_opt.core.errors import TemplateError
from judge_opt.core.text import nearest
from judge_opt.labels.examples import FIELDS

_SLOT = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_PATH = re.compile(r"^([a-z_]+)((?:\.[A-Za-z_][A-Za-z0-9_-]*|\[\d+\])*)$")
_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_-]*)|\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Variable:
    """One part of an item.

    Attributes:
        name: as written, for example `inputs.question`.
        root: `inputs`, `outputs`, `expectations`, `trace` or `conversation`.
        path: the steps below the root: keys (str) and positions (int).
    """

    name: str
    root: str
    path: tuple[str | int, ...]

    @property
    def field(self) -> str:
        """A name that is a Python identifier: the DSPy field of this variable."""
        return re.sub(r"\W+", "_", self.name).strip("_")

    def of(self, item: dict[str, Any]) -> Any:
        """This part of `item`.

        Raises:
            KeyError: the item has no such part; the argument says which step is missing.
        """
        if item.get(self.root) is None:
            raise KeyError(self.root)
        value = item[self.root]
        for step in self.path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                raise KeyError(f"{self.name} (nothing at {step!r})") from None
        return value


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template.

    Attributes:
        text: as written.
        variables: each once, in order of `FIELDS`, then of appearance.
    """

    text: str
    variables: tuple[Variable, ...]

    @classmethod
    def parse(cls, text: str) -> "Template":
        """Raises:
        TemplateError: no variable, an unknown one, or braces that do not pair.
        """
        found: dict[str, Variable] = {}
        for slot in _SLOT.findall(text):
            name = slot.strip()
            match = _PATH.match(name)
            if match is None or match[1] not in FIELDS:
                root = re.split(r"[.\[]", name)[0]
                raise TemplateError(
                    f"Unknown template variable {{{{ {name[:60]} }}}}.{nearest(root, FIELDS)}",
                    f"Use {', '.join(FIELDS)}, or a path into one, such as inputs.question.",
                )
            path = tuple(key if key else int(index) for key, index in _STEP.findall(match[2]))
            found.setdefault(name, Variable(name, match[1], path))
        rest = _SLOT.sub("", text)
        if "{{" in rest or "}}" in rest:
            raise TemplateError("The template has '{{' without '}}', or the reverse.", "Pair the braces.")
        if not found:
            raise TemplateError(
                "The instructions name no part of the item to judge.",
                "Add at least one variable, for example {{ outputs }}.",
            )
        order = sorted(found.values(), key=lambda v: FIELDS.index(v.root))
        fields = [v.field for v in order]
        if len(set(fields)) != len(fields):
            raise TemplateError(f"Two variables would share one field name: {fields}.", "Rename a key.")
        return cls(text, tuple(order))

    def shown(self, instructions: str | None = None) -> str:
        """The instructions as the model reads them: each variable by its name, quoted."""
        return _SLOT.sub(lambda m: f"`{m[1].strip()}`", self.text if instructions is None else instructions)

    def keeps_variables(self, instructions: str) -> bool:
        """True where rewritten instructions still name every variable of this template."""
        named = {slot.strip() for slot in _SLOT.findall(instructions)}
        return all(variable.name in named for variable in self.variables)
