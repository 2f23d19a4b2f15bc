"""The run on a terminal of 80 by 40: verdict first, figures, components, cost, where the page is."""

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from judge_opt.experiments.report.model import ComponentResult, RunReport
from judge_opt.experiments.report.render import STATUS_WORDS
from judge_opt.experiments.report.safe import one_line
from judge_opt.experiments.report.standing import standings
from judge_opt.validate.metrics import heading

_STYLE = {"promoted": "bold green", "not_promoted": "bold yellow", "failed": "bold red"}
_MOST = 6


def render_terminal(run: RunReport, console: Console, html: Path | str | None = None) -> None:
    """Print the run.

    Text goes to the console as `Text` and never as markup, so that brackets and escape sequences in it are
    shown and not obeyed.

    Args:
        html: where the HTML report lies; shown in the last line.
    """
    console.print(
        Text.assemble((STATUS_WORDS[run.status], _STYLE[run.status]), "  ", one_line(run.title, 60))
    )
    console.print(Text(one_line(run.conclusion)), soft_wrap=False)
    if run.validation is not None:
        console.print()
        console.print(_figures(run))
    cautions = [*run.warnings, *(run.validation.notes if run.validation is not None else [])]
    for caution in cautions[:3]:
        console.print(Text.assemble(("! ", "yellow"), one_line(caution, 150)))
    if len(cautions) > 3:
        console.print(Text(f"! {len(cautions) - 3} more in the report", style="yellow"))
    if run.components:
        console.print()
        for component in run.components[:_MOST]:
            console.print(_component(component), overflow="ellipsis", no_wrap=True)
        if len(run.components) > _MOST:
            console.print(Text(f"and {len(run.components) - _MOST} more components", style="dim"))
    active = sum(g.state == "active" for g in run.guidelines)
    if run.guidelines:
        console.print(
            Text(f"{active} guidelines active, {len(run.guidelines) - active} retired", style="dim")
        )
    console.print()
    console.print(_cost(run))
    if html is not None:
        console.print(Text.assemble("Report: ", (one_line(str(html)), "bold")), soft_wrap=True)


def _figures(run: RunReport) -> Table:
    assert run.validation is not None
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("95 % intervals")
    table.add_column("agreement", justify="right", no_wrap=True)
    table.add_column(heading(run.validation.metric), justify="right", no_wrap=True)
    for line in standings(run.validation):
        style = {"after": "bold", "before": ""}.get(line.role, "dim")
        table.add_row(Text(line.name), line.agreement.text("percent"), line.primary.text(), style=style)
    return table


def _component(component: ComponentResult) -> Text:
    mark = ("on   ", "green") if component.on else ("off  ", "dim")
    name = f"{one_line(component.name, 24):<24}"
    return Text.assemble(mark, name, ("  " + one_line(component.measured, 48), "dim"))


def _cost(run: RunReport) -> Text:
    calls, cached = sum(x.calls for x in run.ledger), sum(x.cached for x in run.ledger)
    tokens = sum(x.prompt_tokens + x.completion_tokens for x in run.ledger)
    price = "price not known" if run.usd is None else f"${run.usd:.4f}"
    seconds = sum(run.timings.values())
    counts = f"{calls:,} calls bought, {cached:,} cached, {tokens:,} tokens"
    return Text(f"{counts}, {price}, {seconds:,.0f} s")
