"""A judge's memory, and what stood behind one judgement, as people read them."""

from typing import TYPE_CHECKING, Any

from judge_opt.cli import output
from judge_opt.core.text import printable

if TYPE_CHECKING:
    from judge_opt.core.values import ValueType
    from judge_opt.judges.explaining import Explanation, Influence
    from judge_opt.memory.memory import Memory

_SHORT = 160
"""Characters of an example that are shown."""


def show_memory(title: str, facts: dict[str, Any], value_type: "ValueType") -> None:
    """Guidelines by number, then examples, embedder and fusion."""
    output.line(title)
    guidelines = facts["guidelines"]
    shown = sum(g["state"] != "retired" for g in guidelines)
    output.line(
        f"guidelines: {len(guidelines) or 'none'}" + (f", {shown} shown to the judge" if guidelines else "")
    )
    if guidelines:
        _guidelines(guidelines, "log probability" if value_type.is_choice else "value")
    _facts(facts)


def _guidelines(guidelines: list[dict[str, Any]], unit: str) -> None:
    from rich.table import Table
    from rich.text import Text

    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(justify="right", no_wrap=True)
    made.add_column(no_wrap=True)
    made.add_column(overflow="fold")
    for g in guidelines:
        made.add_row(str(g["number"]), g["state"], Text(printable(g["text"])))
        made.add_row("", "", Text(printable(_standing(g, unit)), style="dim"))
    output.console().print(made)


def _standing(g: dict[str, Any], unit: str) -> str:
    told = ["not measured"]
    if g["worth"] is not None:
        told = [f"worth {g['worth']:+.3f} {unit} a row: better on {g['better']}, worse on {g['worse']}"]
    if g["leads_to"]:
        told.append(f"leads to {g['leads_to']}")
    behind = g["stands_on"]
    if behind["examples"]:
        labels = f", {behind['labels']} labels by {', '.join(behind['raters'])}" if behind["labels"] else ""
        told.append(f"stands on {behind['examples']} examples{labels}")
    else:
        told.append("stands on no examples")
    return "; ".join([*told, g["why"]] if g["why"] else told)


def _facts(facts: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    examples, embedder = facts["examples"], facts["embedder"]
    shown = (
        f"the {examples['shown']} most alike are shown" if examples["shown"] else "none is shown to the judge"
    )
    rows = [("examples", f"{examples['count']}; {shown}")]
    if examples["file"]:
        rows.append(("file", examples["file"]))
    if examples["values"]:
        rows.append(("values", f"{_counts(examples['values'])} (the raters' majority)"))
    if examples["raters"]:
        rows.append(("raters", f"{_counts(examples['raters'])} labels"))
    if examples["missed"] is not None:
        rows.append(("missed", f"{examples['missed']} by the untouched judge"))
    rows.append(("embedder", f"{embedder['name']}, {embedder['dimension']} numbers"))
    rows.append(("similarity", _weights(embedder["weights"])))
    rows.append(
        ("fusion", "off" if facts["fusion"] is None else f"pooled by weight: {_weights(facts['fusion'])}")
    )
    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(no_wrap=True)
    made.add_column(overflow="fold")
    for label, value in rows:
        made.add_row(f"{label}:", Text(printable(" ".join(value.split()))))
    output.console().print(made)


def _counts(counts: dict[str, int]) -> str:
    listed = sorted(counts.items(), key=lambda pair: -pair[1])
    more = f" and {len(listed) - 12} more" if len(listed) > 12 else ""
    return ", ".join(f"{name} {count}" for name, count in listed[:12]) + more


def _weights(weights: dict[str, float]) -> str:
    return ", ".join(f"{name} {weight:.2f}" for name, weight in weights.items())


def explanation_json(explanation: "Explanation") -> dict[str, Any]:
    """What stood behind one judgement, as JSON."""
    from judge_opt.cli.judge import feedback_json

    return {
        "feedback": feedback_json(explanation.feedback),
        "influences": [
            {name: getattr(one, name) for name in one.__slots__} for one in explanation.influences
        ],
        "measured": explanation.measured,
    }


def show_explanation(explanation: "Explanation", memory: "Memory | None", unit: str) -> None:
    """The verdict, then one table for each kind of thing that it rests on."""
    said = explanation.feedback
    if said.error is not None:
        output.say(f"not judged: {said.error}")
        return
    value = str(said.value).lower() if isinstance(said.value, bool) else str(said.value)
    output.line(
        f"verdict: {value}" + (f", confidence {said.confidence:.3f}" if said.confidence is not None else "")
    )
    if said.rationale:
        output.line(f"rationale: {said.rationale}")
    if not explanation.influences:
        output.line("Nothing that was learned stood behind it.")
        return
    texts = _texts(memory, explanation)
    effect = "effect here" if explanation.measured else ""
    _influences(explanation, "guideline", ["guidelines", "leads to", f"worth ({unit})", effect], texts)
    _influences(explanation, "example", ["examples shown", "label", "similarity", effect], texts)
    _influences(explanation, "neighbour", ["examples that vote", "label", "similarity"], texts, most=5)
    _influences(explanation, "source", ["answers pooled", "says", "share of log odds"], texts)
    if explanation.measured:
        what = "value" if unit == "value" else "probability of the verdict"
        output.line(f"effect here: by how much the model's {what} falls without it")


def _texts(memory: "Memory | None", explanation: "Explanation") -> dict[str, str]:
    """Id of an example to what it is, in short."""
    from judge_opt.judges.rendering import value_text
    from judge_opt.memory.episodic import EpisodicMemory

    episodic = None if memory is None else memory.episodic
    wanted = {one.what for one in explanation.influences if one.kind in ("example", "neighbour")}
    if not isinstance(episodic, EpisodicMemory):
        return {}
    found = {}
    for e in episodic.episodes:
        if e.id in wanted:
            named = len(e.parts) > 1
            told = [f"{name}: {value_text(v)}" if named else value_text(v) for name, v in e.parts.items()]
            text = " ".join(" / ".join(told).split())
            found[e.id] = text if len(text) <= _SHORT else f"{text[:_SHORT]}..."
    return found


def _influences(
    explanation: "Explanation", kind: str, heads: list[str], texts: dict[str, str], most: int = 12
) -> None:
    """What first and wide; its figures after it."""
    rows = [_row(one, texts) for one in explanation.influences if one.kind == kind]
    wanted = [place for place, head in enumerate(heads) if head]
    if not rows:
        return
    print()
    output.table([heads[i] for i in wanted], [[row[i] for i in wanted] for row in rows[:most]])
    if len(rows) > most:
        output.line(f"and {len(rows) - most} more: see --json")


def _row(one: "Influence", texts: dict[str, str]) -> list[str]:
    what = f"{one.what}: {texts[one.what]}" if one.what in texts else one.what
    worth = "not measured"
    if one.worth is not None:
        worth = f"{one.worth:.3f}" if one.kind in ("example", "neighbour") else f"{one.worth:+.3f}"
    return [what, one.says, worth, "-" if one.effect is None else f"{one.effect:+.3f}"]
