"""The conclusion of a report on verdicts, in words that claim no more than the figures."""

from judge_opt.validate.figures import Figure
from judge_opt.validate.gate import p_text
from judge_opt.validate.metrics import TITLES
from judge_opt.validate.verdict_report import JudgeSheet, VerdictReport

FEW_GROUPS = 20


def headline(report: VerdictReport) -> str:
    """One judge, two, or several; then the gate."""
    rows = f"{report.n_rows} {report.noun}"
    judges = report.judges
    if len(judges) == 1:
        said = f"On {rows}, {judges[0].name} agrees with people {_found(judges[0], report)}"
    elif len(judges) == 2:
        one = next(j for j in judges if j.name != report.reference)
        base = next(j for j in judges if j.name == report.reference)
        said = (
            f"On {rows}, {one.name} agrees with people {_found(one, report)}, {base.name} {_found(base, report)}; "
            f"{_difference(one)}"
        )
    else:
        best = _best(report)
        figures = [f for j in judges if (f := j.agreement.metrics.get("agreement")) and f.value is not None]
        span = ""
        if figures:
            low, high = (f(x.value or 0.0 for x in figures) for f in (min, max))
            span = f" on {100 * low:.0f} to {100 * high:.0f} %"
        own = best.agreement.metrics[report.metric]
        said = (
            f"On {rows}, {len(judges)} judges agree with people{span}; the best by {TITLES[report.metric]} is "
            f"{best.name} with {own.text()}"
        )
    people = _people(report)
    ends = [said + (f"; {people}" if people else "")]
    beaten = _unbeaten(report)
    if beaten:
        ends.append(beaten)
    if report.decision is not None:
        ends.append("The gate promotes." if report.decision.promoted else "The gate refuses.")
    return ". ".join(one.rstrip(".") for one in ends) + "."


def notes(report: VerdictReport) -> list[str]:
    """What a reader must know to read the figures."""
    out = []
    if report.n_contested:
        out.append(
            f"{report.n_contested} {report.noun} have no majority among their raters. They enter the human ceiling "
            "and no other figure."
        )
    if report.n_raters == 1:
        out.append(
            "There is one rater (or a label that the source had settled), so people cannot be held against people."
        )
    silent = [judge for judge in report.judges if judge.agreement.unscored]
    if len(silent) > 3:
        most = max(silent, key=lambda judge: sum(judge.agreement.unscored.values()))
        out.append(
            f"{len(silent)} of {len(report.judges)} judges have no verdict on some {report.noun}, {most.name} on the "
            "most "
            f"({sum(most.agreement.unscored.values())} of {report.n_rows}). Such rows count against coverage alone."
        )
        silent = []
    for judge in report.judges:
        if judge in silent:
            lost = sum(judge.agreement.unscored.values())
            why = ", ".join(f"{count} {reason}" for reason, count in judge.agreement.unscored.items())
            out.append(
                f"{judge.name} has no verdict on {lost} of {report.n_rows} {report.noun} ({why}). They count against "
                "coverage and enter no other figure."
            )
        if judge.learned_from:
            out.append(
                f"{judge.name} learned from {judge.learned_from} of these rows: its figures flatter it."
            )
    if 0 < report.n_groups < FEW_GROUPS:
        out.append(
            f"The rows come from {report.n_groups} groups. Intervals of so few rest on strong assumptions; see "
            "docs/statistics.md."
        )
    passed = report.constant_test is not None and report.constant_test.passed
    if passed:
        out.append(
            "Always giving one label passes the alternative annotator test here too, so that the test shows "
            "nothing of a judge."
        )
    if len(report.judges) > 2:
        out.append(
            "The best of several judges is best partly by luck: its figure on the rows that picked it is too high."
        )
    return out


def _found(judge: JudgeSheet, report: VerdictReport) -> str:
    plain = judge.agreement.metrics.get("agreement")
    primary = judge.agreement.metrics[report.metric]
    parts = []
    if plain is not None and plain.value is not None:
        parts.append(f"on {plain.text('percent')}")
    if report.metric != "agreement" and primary.value is not None:
        parts.append(f"{TITLES[report.metric]} {primary.text()}")
    return ", ".join(parts) or "on nothing that can be measured"


def _difference(one: JudgeSheet) -> str:
    comparison = one.comparison
    if comparison is None or comparison.difference.value is None:
        return "the two could not be compared"
    gap, p = comparison.difference, one.adjusted
    said = f"difference in {TITLES[comparison.metric]} {gap.value:+.2f}"
    if gap.low is not None and gap.high is not None:
        said += f", 95 % interval {gap.low:+.2f} to {gap.high:+.2f}"
    if p is not None and p <= 0.05 and (gap.value or 0.0) > 0:
        return f"{one.name} is better ({said}, one-sided {p_text(p)})"
    if gap.high is not None and gap.high < 0:
        return f"{one.name} is worse ({said})"
    return f"neither is shown to be better ({said})"


def _people(report: VerdictReport) -> str:
    figure = report.ceiling.agreement
    if figure.value is None:
        return ""
    return f"one rater agrees with the others on {figure.text('percent')}"


def _best(report: VerdictReport) -> JudgeSheet:
    def rank(judge: JudgeSheet) -> tuple[float, str]:
        value = judge.agreement.metrics[report.metric].value
        return (9.0 if value is None else -value, judge.name)

    return min(report.judges, key=rank)


def _unbeaten(report: VerdictReport) -> str:
    """Which cheap baselines the judge in question (the best of several) does not clearly beat."""
    several = len(report.judges) > 2
    judge = (
        _best(report)
        if several
        else next((j for j in report.judges if j.name != report.reference), report.judges[0])
    )
    own, plain = judge.agreement.metrics[report.metric], judge.agreement.metrics.get("agreement")
    names = {
        "constant": "always giving one label",
        "output_length": "looking at length alone",
        "text_classifier": "a text classifier on embeddings",
    }
    lost = []
    for baseline in report.baselines:
        if baseline.name not in names:
            continue
        if _reaches(baseline.primary, own):
            lost.append(f"{names[baseline.name]} ({TITLES[report.metric]} {baseline.primary.text()})")
        elif plain is not None and _reaches(baseline.agreement, plain):
            lost.append(f"{names[baseline.name]} (agreement {baseline.agreement.text('percent')})")
    who = f"Even {judge.name}" if several else judge.name
    return f"{who} does not clearly beat {' or '.join(lost)}" if lost else ""


def _reaches(baseline: Figure, own: Figure) -> bool:
    """The baseline's value is within or above the judge's interval."""
    if baseline.value is None or own.low is None:
        return False
    return baseline.value >= own.low
