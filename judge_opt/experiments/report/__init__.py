"""The report of one alignment run: data (`RunReport`), and three ways to show it.

from judge_opt.core.files import write_text
from judge_opt.experiments.report import render_html

write_text(folder / "report.html", render_html(run))
"""

from judge_opt.experiments.report.model import (
    ComponentResult,
    DataCard,
    Disagreement,
    Environment,
    GuidelineResult,
    JudgeCard,
    LearningStep,
    LedgerLine,
    NeighbourUsed,
    RunReport,
)
from judge_opt.experiments.report.render import render_html, render_markdown
from judge_opt.experiments.report.terminal import render_terminal

__all__ = [
    "ComponentResult",
    "DataCard",
    "Disagreement",
    "Environment",
    "GuidelineResult",
    "JudgeCard",
    "LearningStep",
    "LedgerLine",
    "NeighbourUsed",
    "RunReport",
    "render_html",
    "render_markdown",
    "render_terminal",
]
