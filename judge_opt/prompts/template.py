"""Templates of prompts: `{{ question }}` is a variable, everything else is text.

The marks are those of a judge's template, and they are filled in one pass too: braces in a value stay what they
are. What differs: a variable is any plain name, and braces that hold no name (JSON, code) are text, since an
agent's prompt may show examples of both. `judge_opt.judges.template.literal` writes a text so that nothing in it
is read as a variable.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from judge_opt.core.errors import TemplateError, UsageError
from judge_opt.core.text import nearest
from judge_opt.judges.rendering import value_text
from judge_opt.judges.template import literal

Message = dict[str, str]
"""{"role": ..., "content": ...}"""
Template = str | list[Message]
"""A text, or the messages of a chat."""
ROLES = ("system", "developer", "user", "assistant")
_SLOT = re.compile(r'\{\{\s{0,20}(?:([A-Za-z_]\w*)|"([{}]{1,200})")\s{0,20}\}\}', re.ASCII)
_PATH = re.compile(r"\{\{\s{0,20}([A-Za-z_]\w*(?:\.\w+|\[\w+\])+)\s{0,20}\}\}", re.ASCII)


def check_template(template: Any) -> Template:
    """`template`, if it is one, as plain JSON values.

    Raises:
        TemplateError: it is neither a text nor a list of messages, holds nothing, or names a path.
    """
    if isinstance(template, str):
        made: Template = template
    elif isinstance(template, Sequence) and template:
        made = [_message(one, number) for number, one in enumerate(template, 1)]
    else:
        raise TemplateError(
            f"A prompt's template cannot be {str(template)[:60]!r}.",
            'Pass a text, or messages: [{"role": "system", "content": "..."}, ...].',
        )
    if not any(text.strip() for text in texts_of(made)):
        raise TemplateError("The template is empty.", "Write what the agent is told.")
    for text in texts_of(made):
        if path := _PATH.search(text):
            raise TemplateError(
                f"{{{{ {path[1][:60]} }}}} is a path; a prompt's variables are plain names.",
                "Give the part its own name, and pass it to format().",
            )
    return made


def texts_of(template: Template) -> list[str]:
    """The text itself, or the content of each message."""
    return [template] if isinstance(template, str) else [message["content"] for message in template]


def variables_of(*texts: str) -> frozenset[str]:
    """The names of the variables in some texts."""
    return frozenset(name for text in texts for _, name in pieces(text) if name)


def pieces(text: str) -> Iterator[tuple[str, str]]:
    """A text in pieces: (the piece as written, the variable's name, or "" for text and literals)."""
    at = 0
    for slot in _SLOT.finditer(text):
        if slot[1] is None:
            continue
        if slot.start() > at:
            yield text[at : slot.start()], ""
        yield slot[0], slot[1]
        at = slot.end()
    if at < len(text):
        yield text[at:], ""


def render(template: Template, values: Mapping[str, Any], what: str) -> Template:
    """The template with its variables filled in, in one pass.

    Args:
        values: name to value; text as it is, everything else as `value_text` writes it.
        what: names the prompt in errors.

    Raises:
        UsageError: a variable has no value, or a value has no variable; names it.
    """
    known = sorted(variables_of(*texts_of(template)))
    if lacking := [name for name in known if name not in values]:
        raise UsageError(
            f"{what} needs {', '.join(lacking)}, which format() was not given.",
            f"Its variables: {', '.join(known)}.",
        )
    if unknown := sorted(name for name in values if name not in known):
        raise UsageError(
            f"{what} has no variable {unknown[0]!r}.{nearest(unknown[0], known)}",
            f"Its variables: {', '.join(known) or 'none'}.",
        )
    if isinstance(template, str):
        return _filled(template, values)
    return [{**message, "content": _filled(message["content"], values)} for message in template]


def cleaned(text: str) -> str:
    """A text that a model wrote without control and other invisible characters, so that a person who reads it
    sees all that the agent is told. Blanks of every kind are plain ones."""
    return "".join(_seen(one) for one in text).strip()


def _seen(character: str) -> str:
    if character.isprintable() or character in "\n\t":
        return character
    kind = unicodedata.category(character)
    return {"Zs": " ", "Zl": "\n", "Zp": "\n"}.get(kind, "")


def repaired(text: str, variables: frozenset[str]) -> str | None:
    """A rewritten text with exactly `variables`: names that it made up become text, variables that it lost are
    named again at its end. None where nothing is left.
    """
    if (text := cleaned(text)) == "":
        return None
    made = "".join(piece if not name or name in variables else literal(piece) for piece, name in pieces(text))
    lost = sorted(variables - variables_of(made))
    if lost:
        made += "\n\n" + "\n".join(f"{name}: {{{{ {name} }}}}" for name in lost)
    return made if variables_of(made) == variables else None


def _filled(text: str, values: Mapping[str, Any]) -> str:
    return _SLOT.sub(lambda slot: slot[2] if slot[1] is None else value_text(values[slot[1]]), text)


def _message(message: Any, number: int) -> Message:
    if not isinstance(message, Mapping) or not isinstance(message.get("content"), str):
        raise TemplateError(f"Message {number} has no text as its content.", "Give it role and content.")
    if message.get("role") not in ROLES or len(message) != 2:
        raise TemplateError(
            f"Message {number} has the role {str(message.get('role'))[:40]!r} and {len(message)} fields.",
            f"Give it content and a role: {', '.join(ROLES)}.",
        )
    return {"role": message["role"], "content": message["content"]}
