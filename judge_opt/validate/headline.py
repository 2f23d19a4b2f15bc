"""One sentence that says what was found and claims no more.

Both judges are quoted on the same rows, with their intervals, and the sentence ends in what the gate did.
"""

from judge_opt.validate.compare import Comparison
from judge_opt.validate.figures import Figure
from judge_opt.validate.gate import Decision, p_text
from judge_opt.validate.metrics import TITLES


def headline(comparison: Comparison, decision: Decision, n_rows: int, noun: str) -> str:
    """The conclusion in words.

    Args:
        n_rows: held-out rows with a label.
        noun: what a row is, in the plural: "replies".
    """
    rows = f"{n_rows} held-out {noun}"
    if comparison.n_pairs < n_rows:
        rows = f"the {comparison.n_pairs} of {rows} that both judges scored"
    found = _found(comparison)
    if decision.promoted:
        return f"On {rows}, {found}; promoted."
    kept = "the untouched judge is kept."
    failed = {check.name for check in decision.checks if not check.holds}
    if "better_than_before" in failed:
        return f"No improvement could be shown on {rows}: {found}; {kept}"
    return f"On {rows}, {found}. Not promoted: {' '.join(decision.reasons)} T{kept[1:]}"


def _found(comparison: Comparison) -> str:
    parts = []
    if comparison.agreement_after.value is not None:
        parts.append(
            "the aligned judge agreed with the human labels on "
            f"{_quote(comparison.agreement_after, percent=True, name=True)}, the untouched judge on "
            f"{_quote(comparison.agreement_before, percent=True)}"
        )
    if comparison.after.value is not None and comparison.metric != "agreement":
        title = TITLES[comparison.metric]
        who = "" if parts else "the aligned judge reached "
        parts.append(
            f"{who}{title} {_quote(comparison.after, name=not parts)} against {_quote(comparison.before)}"
        )
    if not parts:
        return "the judges could not be compared"
    if comparison.p_value is not None:
        parts[-1] += f" (one-sided {p_text(comparison.p_value)})"
    return "; ".join(parts)


def _quote(figure: Figure, *, percent: bool = False, name: bool = False) -> str:
    text = figure.text("percent" if percent else "number")
    return text.replace("(", f"({100 * figure.confidence:g} % interval ", 1) if name else text
