"""A run report as one HTML page or as Markdown.

The page is a single file: inline style, inline SVG, no script, and a content security policy that would
stop one. Text from outside is escaped by autoescape and passed through `safe.shown` by `finalize`, so that
no template line can forget it.
"""

from functools import cache

import jinja2
from markupsafe import Markup

from judge_opt.experiments.report import plots
from judge_opt.experiments.report.model import RunReport
from judge_opt.experiments.report.safe import fenced, markdown, one_line, shown
from judge_opt.experiments.report.standing import Role, standings
from judge_opt.validate.gate import p_text
from judge_opt.validate.metrics import TITLES, heading

STATUS_WORDS = {"promoted": "Promoted", "not_promoted": "Not promoted", "failed": "Failed"}


def _inert(value: object) -> object:
    """What every `{{ ... }}` passes through before autoescape."""
    if value is None:
        return ""
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def environment() -> jinja2.Environment:
    """Templates of this package, every expression made inert."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("judge_opt.experiments.report", "."),
        autoescape=True,
        finalize=_inert,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(heading=heading, titles=TITLES, p_text=p_text)
    made.filters.update(
        count=lambda n: f"{n:,}".replace(",", "\u202f"),
        usd=lambda x: "not known" if x is None else f"${x:,.4f}" if 0 < x < 0.1 else f"${x:,.2f}",
        duration=_duration,
        line=one_line,
        tight=lambda text: text.replace(" %", "\u00a0%").replace("p < ", "p\u00a0<\u00a0"),
    )
    return made


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def render_html(run: RunReport) -> str:
    """The run as one self-contained page. The same run gives the same bytes."""
    validation = run.validation
    context: dict[str, object] = {"run": run, "v": validation, "status": STATUS_WORDS[run.status]}
    context["style"] = Markup(source("report.css"))  # noqa: S704  (a file of this package)
    context["learning"] = [plots.learning(run.history, narrow=narrow) for narrow in (False, True)]
    if validation is not None:
        lines = standings(validation)
        metric = heading(validation.metric)
        context["standings"] = lines
        context["forest"] = [plots.forest(lines, metric, narrow=narrow) for narrow in (False, True)]
        if validation.calibration_before.bins or validation.calibration_after.bins:
            context["reliability"] = plots.reliability(
                [
                    ("Untouched judge", "before", validation.calibration_before),
                    ("Aligned judge", "after", validation.calibration_after),
                ]
            )
        cards = [("Untouched judge", validation.card_before), ("Aligned judge", validation.card_after)]
        curves = [
            (name, card.curve) for name, card in cards if card is not None and len(card.curve.points) > 1
        ]
        if curves:
            roles: dict[str, Role] = {"Untouched judge": "before", "Aligned judge": "after"}
            context["risk"] = plots.risk_curve([(name, roles[name], curve) for name, curve in curves])
    return environment().get_template("report.html.jinja").render(context)


def source(name: str) -> str:
    """A file of this package."""
    made = environment()
    assert made.loader is not None
    return made.loader.get_source(made, name)[0]


def render_markdown(run: RunReport) -> str:
    """The run as Markdown for a pull request or a notebook: conclusion, figures, what was learned, cost."""
    out = [f"# {markdown(run.title)}", "", f"**{STATUS_WORDS[run.status]}.** {markdown(run.conclusion)}", ""]
    out += [f"> {markdown(warning)}" for warning in _cautions(run)]
    if run.validation is not None:
        metric = heading(run.validation.metric)
        out += ["", f"| | Agreement (95 %) | {metric} (95 %) |", "|---|---|---|"]
        out += [
            f"| {s.name} | {s.agreement.text('percent')} | {s.primary.text()} |"
            for s in standings(run.validation)
        ]
        out += ["", "## The gate", ""]
        out += [
            f"- {'held' if check.holds else '**failed**'}: {markdown(check.text)}"
            for check in run.validation.decision.checks
        ]
    if run.held_out_reads:
        out += ["", f"The held-out rows were read {len(run.held_out_reads)} time(s) so far."]
    if run.components or run.guidelines:
        out += ["", "## What was learned", ""]
    if run.components:
        out += ["| Component | | Measured | Why |", "|---|---|---|---|"]
        out += [
            f"| {markdown(c.name)} | {'on' if c.on else 'off'} | {markdown(c.measured)} | {markdown(c.why)} |"
            for c in run.components
        ]
    if run.guidelines:
        out += [
            "",
            *(
                f"- ({g.state}, {g.support} for, {g.contradict} against) {markdown(g.text)}"
                for g in run.guidelines
            ),
        ]
    if run.ledger:
        out += ["", "## Cost", "", "| Purpose | Model | Calls | Cached | Tokens in | Tokens out | USD |"]
        out += ["|---|---|---:|---:|---:|---:|---:|"]
        out += [
            f"| {markdown(x.purpose)} | {markdown(x.model)} | {x.calls} | {x.cached} | {x.prompt_tokens} "
            f"| {x.completion_tokens} | {'not known' if x.usd is None else f'{x.usd:.4f}'} |"
            for x in run.ledger
        ]
    out += ["", "## Reproduce", "", f"Run {markdown(run.environment.run_id)}, seed {run.environment.seed}."]
    if run.environment.commands:
        out += ["", fenced("\n".join(run.environment.commands))]
    return "\n".join(out) + "\n"


def _cautions(run: RunReport) -> list[str]:
    return [*run.warnings, *(run.validation.notes if run.validation is not None else [])]
