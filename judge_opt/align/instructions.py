"""Rewritten instructions, checked before a judge gets them: a model wrote them, and they are a template."""

from judge_opt.core.errors import TemplateError
from judge_opt.judges.judge import Judge
from judge_opt.judges.template import Template, literal

MOST = 20_000
"""Characters of instructions at most."""


def repaired(judge: Judge, text: str) -> str | None:
    """`text` as instructions of `judge`: braces that name no variable of its template are text, variables that
    it lost are named again at the end. None where there is nothing in it, or too much."""
    text = (
        text.encode("utf-8", "replace").decode().strip()
    )  # DSPy keeps instructions where no surrogate may be
    if not text or len(text) > MOST:
        return None
    template = judge.template
    made = "".join(piece if known else _as_text(piece) for piece, known in template.parts(text))
    lost = [v.name for v in template.variables if f"{{{{ {v.name} }}}}" not in made]
    if lost and not template.keeps_variables(made):
        made += "\n\nJudge by: " + ", ".join(f"{{{{ {name} }}}}" for name in lost) + "."
    try:
        Template.parse(made)
    except TemplateError:
        return None
    return made if template.keeps_variables(made) else None


def with_instructions(judge: Judge, text: str) -> Judge | None:
    """A copy of `judge` with `text`, repaired, as its instructions; None where it cannot be repaired."""
    made = repaired(judge, text)
    if made is None:
        return None
    other = judge.copy()
    other.predict.signature = other.predict.signature.with_instructions(made)
    return other


def _as_text(text: str) -> str:
    """Braces as text. A literal holds no quote, so what `literal` cannot write is spaced out."""
    if "{{" not in text and "}}" not in text:
        return text
    written = literal(text)
    try:
        Template.parse(f"{written} {{{{ inputs }}}}")
    except TemplateError:
        return text.replace("{{", "{ {").replace("}}", "} }")
    return written
