"""Changes of an item that should not change its verdict, or only in a way that is known.

Each takes the text at one place of an item and gives another text, or None where it does not apply to this one.
The same text gives the same change. A third party's perturbation is one more `Perturbation`.

Sources: position, length and verbosity (Zheng et al. 2023, arXiv 2306.05685), format (Chen et al. 2024, "Humans
or LLMs as the Judge", arXiv 2402.10669, beauty), authority (the same), demographic swaps (Bertrand &
Mullainathan 2004 for the names; counterfactual fairness, Garg et al. 2019, arXiv 1809.10610).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "wordings"
_WORD = re.compile(r"[A-Za-z]+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_MARKUP = re.compile(r"(\*\*|__|`)|^(\s*)(#{1,6}|[-*+]|\d+[.)])\s+", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Perturbation:
    """One way to change a text.

    Attributes:
        name: short, unique.
        title: what is done, in words, for a report.
        apply: text to text; None where it does not apply.
        control: what the changed text is compared with; None: the text as it is. With a control, both forms
            differ from the original alike, but for what is tested.
        directed: the change goes one way, so a bias has a direction; False for an exchange.
    """

    name: str
    title: str
    apply: Callable[[str], str | None]
    control: Callable[[str], str | None] | None = None
    directed: bool = True


def longer(text: str) -> str | None:
    """The same said twice: longer, and no better."""
    return f"{text.rstrip()}\n\nTo say the same again: {text.strip()}" if text.strip() else None


def padded(text: str) -> str | None:
    """Sentences without content before, between and after the paragraphs."""
    if not text.strip():
        return None
    filler = _lines("padding.txt")
    paragraphs = text.strip().split("\n\n")
    out = [filler[0]]
    for k, paragraph in enumerate(paragraphs):
        out.append(paragraph)
        if k < len(paragraphs) - 1:
            out.append(filler[1 + k % 2])
    return "\n\n".join([*out, filler[3], filler[4]])


def formatted(text: str) -> str | None:
    """The same words under a heading and as bold bullet points, one a sentence."""
    sentences = [s for line in text.split("\n") for s in _SENTENCE.split(line.strip()) if s]
    if len(sentences) < 2:
        return None
    lines = []
    for sentence in sentences:
        first, _, rest = sentence.partition(" ")
        lines.append(f"- **{first}** {rest}".rstrip())
    return "## Answer\n\n" + "\n".join(lines)


def plain(text: str) -> str | None:
    """Without Markdown's marks; None where there are none."""
    bare = _MARKUP.sub(lambda m: m[2] or "", text)
    return bare if bare != text else None


def signed(words: str) -> Callable[[str], str | None]:
    """The text with a line that says who looked at it."""
    return lambda text: f"{text.rstrip()}\n\n({words})" if text.strip() else None


def swapped(text: str) -> str | None:
    """Words that say who it is about, exchanged; None where none occurs."""
    table = _swaps()

    def other(match: re.Match[str]) -> str:
        word = match[0]
        found = table.get(word) or table.get(word.lower())
        if found is None or (word.islower() and found[0].isupper()):
            return word
        return found.capitalize() if word[0].isupper() else found

    changed = _WORD.sub(other, text)
    return changed if changed != text else None


@cache
def _lines(name: str) -> list[str]:
    lines = (_FOLDER / name).read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


@cache
def _swaps() -> dict[str, str]:
    out: dict[str, str] = {}
    for line in _lines("swaps.txt"):
        one, _, other = (part.strip() for part in line.partition("|"))
        out |= {one: other, other: one}
    return out


SHIPPED: dict[str, Perturbation] = {
    one.name: one
    for one in (
        Perturbation("length", "the same said twice", longer),
        Perturbation("verbosity", "padded with sentences that say nothing", padded),
        Perturbation("format", "the same words under a heading, as bold bullet points", formatted),
        Perturbation("plain", "Markdown's marks removed", plain),
        Perturbation(
            "rater_identity",
            "said to be approved by a senior expert, against a first-day trainee",
            signed("Reviewed and approved by Dr. Weber, senior expert with 20 years in the field."),
            signed("Reviewed and approved by a trainee on the first day at work."),
        ),
        Perturbation(
            "authorship",
            "said to be written by the judge's kind, against by a person",
            signed("Written by an AI assistant."),
            signed("Written by a person."),
        ),
        Perturbation(
            "demographic",
            "words that say who it is about exchanged (gender, names, origin)",
            swapped,
            directed=False,
        ),
    )
}
"""By name. Position is no change of a text: see `audit_judge`."""
