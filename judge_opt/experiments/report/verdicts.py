"""A report on verdicts as one HTML page, as Markdown, and on a terminal."""

from markupsafe import Markup

from judge_opt.experiments.report import plots
from judge_opt.experiments.report.render import environment, source
from judge_opt.experiments.report.safe import fenced, markdown, one_line
from judge_opt.experiments.report.standing import BASELINE_NAMES, Role, Standing
from judge_opt.validate.figures import Figure
from judge_opt.validate.metrics import heading
from judge_opt.validate.verdict_report import JudgeSheet, VerdictReport

MOST_CARDS = 8
"""Judges, the best first, that get a section of their own; all stand in the table and in the JSON."""

_NONE = Figure(value=None, reason="Not defined for these values.")


def render_verdicts_html(report: VerdictReport) -> str:
    """One self-contained page. The same report gives the same bytes."""
    ranked = _ranked(report)
    cards = ranked[:MOST_CARDS]
    lines = standings_of(report)
    metric = heading(report.metric)
    context: dict[str, object] = {
        "r": report,
        "ranked": ranked,
        "cards": cards,
        "style": Markup(source("report.css")),  # noqa: S704  (a file of this package)
        "forest": [plots.forest(lines, metric, narrow=narrow) for narrow in (False, True)],
        "plots_of": {judge.name: _plots(judge, k) for k, judge in enumerate(cards)},
        "ties": any(judge.without_ties is not None for judge in report.judges),
        "lean": any(judge.lean.value is not None for judge in report.judges),
        "dash": Markup('<td class="n">–</td>'),
    }
    return environment().get_template("verdicts.html.jinja").render(context)


def render_verdicts_markdown(report: VerdictReport) -> str:
    """Conclusion, figures of every judge, people, biases, how to reproduce."""
    metric = heading(report.metric)
    out = [f"# {markdown(report.title)}", "", f"**{markdown(report.headline)}**", ""]
    out += [f"> {markdown(note)}" for note in report.notes]
    out += ["", f"| | Agreement (95 %) | {metric} (95 %) |", "|---|---|---|"]
    out += [
        f"| {markdown(s.name)} | {s.agreement.text('percent')} | {s.primary.text()} |"
        for s in standings_of(report)
    ]
    if report.decision is not None:
        out += ["", "## The gate", ""]
        out += [
            f"- {'held' if check.holds else '**failed**'}: {markdown(check.text)}"
            for check in report.decision.checks
        ]
    out += ["", "## The judges", ""]
    out += [
        "| Judge | Scored | Calibrated | Judge − human | Alpha with people | Replaces a rater | p (Holm) |"
    ]
    out += ["|---|---:|---:|---:|---:|---|---:|"]
    for judge in _ranked(report):
        test = judge.alt_test
        cells = [
            markdown(judge.name),
            "–" if judge.agreement.coverage is None else f"{100 * judge.agreement.coverage:.0f} %",
            judge.calibrated.primary.text(),
            judge.lean.text() if judge.lean.value is not None else "–",
            judge.alpha_with_people.text(),
            "–" if test is None or test.passed is None else "yes" if test.passed else "no",
            "–" if judge.adjusted is None else f"{judge.adjusted:.3f}",
        ]
        out.append("| " + " | ".join(cells) + " |")
    if report.jury is not None and report.jury.effective.value is not None:
        out += ["", f"As a jury: {markdown(report.jury.text())}."]
    biases = [(judge.name, bias) for judge in _ranked(report)[:MOST_CARDS] for bias in judge.biases]
    if biases:
        out += ["", "## Biases", ""]
        out += [f"- {markdown(name)}: {markdown(bias.text())}" for name, bias in biases]
    for judge in _ranked(report)[:MOST_CARDS]:
        if judge.worst:
            rows = ", ".join(
                f"{markdown(w.id)} (people {markdown(w.human)}, judge {markdown(w.said)})"
                for w in judge.worst[:5]
            )
            out += ["", f"Worst disagreements of {markdown(judge.name)}: {rows}."]
    out += [
        "",
        "## Reproduce",
        "",
        f"Rows {report.rows_digest}, seed {report.seed}, {report.n_boot} resamples.",
    ]
    if report.how:
        out += ["", fenced("\n".join(report.how))]
    return "\n".join(out) + "\n"


def standings_of(report: VerdictReport) -> list[Standing]:
    """The judges, best first, the baselines, and people."""
    out = []
    for judge in _ranked(report):
        role: Role = "before" if judge.name == report.reference else "after"
        agreement = judge.agreement.metrics.get("agreement", _NONE)
        out.append(Standing(judge.name, role, agreement, judge.agreement.metrics[report.metric]))
    out += [Standing(BASELINE_NAMES[b.name], "baseline", b.agreement, b.primary) for b in report.baselines]
    ceiling = report.ceiling
    if ceiling.agreement.value is not None or ceiling.primary.value is not None:
        out.append(Standing("Human ceiling", "ceiling", ceiling.agreement, ceiling.primary))
    return out


def _ranked(report: VerdictReport) -> list[JudgeSheet]:
    def rank(judge: JudgeSheet) -> tuple[float, str]:
        value = judge.agreement.metrics[report.metric].value
        return (-value if value is not None else 9.0, judge.name)

    return sorted(report.judges, key=rank)


def _plots(judge: JudgeSheet, k: int) -> list[tuple[Markup, str]]:
    out = []
    name = one_line(judge.name, 40)
    if judge.calibration.bins:
        words = "On the diagonal, confidence is honest. Bars are 95 % intervals."
        out.append((plots.reliability([(name, "after", judge.calibration)], f"reliability-{k}"), words))
    if len(judge.curve.points) > 1:
        words = (
            "Accepting the surest rows first. The band holds at one point, not for one that was picked here."
        )
        out.append((plots.risk_curve([(name, "after", judge.curve)], f"risk-{k}"), words))
    return out
