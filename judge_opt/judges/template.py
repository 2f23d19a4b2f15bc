"""Instruction templates: `{{ inputs }}`, `{{ outputs.reply }}`. Parsed once, never evaluated.

A variable names a part of the item that the judge sees. In the prompt the instructions keep the
variable's name and the item's parts follow under those names, so that the instructions are the same
bytes for every item (providers cache such a prefix), and no text of an item is ever read as a template.

As in Jinja, `{{ expectations.answer or expectations.facts }}` takes the first that the item has,
`{{ expectations.answer or "none given" }}` a text where it has none, and `{{ "{{" }}` is the text itself:
`literal` writes somebody else's text so that none of its braces is read.
"""

import re
from dataclasses import dataclass
from typing import Any

from judge_opt.core.errors import TemplateError
from judge_opt.core.text import nearest
from judge_opt.labels.examples import FIELDS

# Both are bounded, so that a text of braces alone costs no more than its length.
_SLOT = re.compile(r"\{\{((?:\"[^\"]{0,200}\"|[^\"]){0,300}?)\}\}")
_LITERAL = re.compile(r'"([^"]*)"')
_OR = re.compile(r"\s+or\s+")
_DEFAULT = re.compile(r'\s+or\s+"([^"]*)"\Z')
_BRACES = re.compile(r"[{}]{2,200}|\A[{}]|[{}]\Z")
_PATH = re.compile(r"^([a-z_]+)((?:\.[A-Za-z_][A-Za-z0-9_-]*|\[\d+\])*)$")
_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_-]*)|\[(\d+)\]")


def literal(text: str) -> str:
    """`text` written so that a template shows it as it is."""
    return _BRACES.sub(lambda run: f'{{{{ "{run[0]}" }}}}', text)


@dataclass(frozen=True, slots=True)
class Variable:
    """One part of an item.

    Attributes:
        name: as written, for example `inputs.question`; alternatives joined by " or ".
        root: `inputs`, `outputs`, `expectations`, `trace` or `conversation`.
        path: the steps below the root: keys (str) and positions (int).
        others: alternatives, taken in order where the item lacks this one or holds null.
        default: what stands there where the item has none of them; None: such an item cannot be judged.
    """

    name: str
    root: str
    path: tuple[str | int, ...]
    others: "tuple[Variable, ...]" = ()
    default: str | None = None

    @property
    def field(self) -> str:
        """A name that is a Python identifier: the DSPy field of this variable."""
        return re.sub(r"\W+", "_", self.name).strip("_")

    def of(self, item: dict[str, Any]) -> Any:
        """This part of `item`.

        Raises:
            KeyError: the item has no such part; the argument says which step is missing.
        """
        if not self.others and self.default is None:
            return self._at(item)
        for one in (self, *self.others):
            try:
                value = one._at(item)
            except KeyError:
                continue
            if value is not None:
                return value
        if self.default is None:
            raise KeyError(self.name)
        return self.default

    def _at(self, item: dict[str, Any]) -> Any:
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
            if (variable := _variable(slot)) is None:
                continue
            if found.setdefault(variable.name, variable) != variable:
                raise TemplateError(
                    f"{{{{ {variable.name} }}}} stands in the template with two defaults.",
                    "Keep one of them.",
                )
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
        return _SLOT.sub(lambda m: _shown(m[1]), self.text if instructions is None else instructions)

    def parts(self, instructions: str) -> list[tuple[str, bool]]:
        """Rewritten instructions in pieces, each with True where it is one of this template's variables (or a
        literal) between its braces, and False where it is text, foreign braces included."""
        named = {variable.name for variable in self.variables}
        pieces: list[tuple[str, bool]] = []
        at = 0
        for slot in _SLOT.finditer(instructions):
            if _LITERAL.fullmatch(slot[1].strip()) or _name(slot[1]) in named:
                pieces += [(instructions[at : slot.start()], False), (slot[0], True)]
                at = slot.end()
        return [(piece, known) for piece, known in [*pieces, (instructions[at:], False)] if piece]

    def keeps_variables(self, instructions: str) -> bool:
        """True where rewritten instructions still name every variable of this template."""
        named = {_name(slot) for slot in _SLOT.findall(instructions)}
        return all(variable.name in named for variable in self.variables)


def _variable(slot: str) -> Variable | None:
    """What stands between two pairs of braces; None for a literal.

    Raises:
        TemplateError: it names something that no item has.
    """
    if _LITERAL.fullmatch(slot.strip()):
        return None
    default = _DEFAULT.search(slot.strip())
    first, *others = [_path(name) for name in _OR.split(_DEFAULT.sub("", slot.strip()))]
    name = " or ".join(v.name for v in (first, *others))
    return Variable(name, first.root, first.path, tuple(others), default[1] if default else None)


def _path(name: str) -> Variable:
    match = _PATH.match(name)
    if match is None or match[1] not in FIELDS:
        root = re.split(r"[.\[]", name)[0]
        raise TemplateError(
            f"Unknown template variable {{{{ {name[:60]} }}}}.{nearest(root, FIELDS)}",
            f"Use {', '.join(FIELDS)}, or a path into one, such as inputs.question.",
        )
    path = tuple(key if key else int(index) for key, index in _STEP.findall(match[2]))
    return Variable(name, match[1], path)


def _name(slot: str) -> str:
    """The variable's name as the model reads it: without a default."""
    return " or ".join(_OR.split(_DEFAULT.sub("", slot.strip())))


def _shown(slot: str) -> str:
    text = _LITERAL.fullmatch(slot.strip())
    return text[1] if text else f"`{_name(slot)}`"
