"""Plots as inline SVG: the same data give the same bytes, and nothing in them can run or load.

Each plot is drawn for a wide and for a narrow page; the style sheet shows one of them. Drawn on a bare
Figure without pyplot, so no global state of the user's matplotlib is read or left behind.
"""

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from itertools import cycle

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from judge_opt.experiments.report.model import LearningStep
from judge_opt.experiments.report.safe import one_line
from judge_opt.experiments.report.standing import Role, Standing
from judge_opt.validate import Calibration, Figure, RiskCoverage

INK, MUTED, RULE = "#1d2326", "#5d666b", "#d9d6cf"
COLOURS: dict[Role, str] = {
    "after": "#0b6b63",
    "before": "#8a6d3b",
    "baseline": "#8b9297",
    "ceiling": "#3d4f8a",
}
MARKERS: dict[Role, str] = {"after": "o", "before": "s", "baseline": "D", "ceiling": "^"}

_Ends = tuple[float, float, float]

_REFERENCE = re.compile(r"(^#|url\(#)([\w.-]+)")


def forest(standings: Sequence[Standing], primary_name: str, *, narrow: bool) -> Markup:
    """Points with 95 % intervals, one row for each judge, baseline and the human ceiling; one panel for
    agreement and one for the chance-corrected metric."""
    panels: list[tuple[str, float, list[_Ends | None]]] = []
    if any(s.agreement.value is not None for s in standings):
        panels.append(("Agreement, %", 100.0, [_ends(s.agreement, 100.0) for s in standings]))
    panels.append((primary_name, 1.0, [_ends(s.primary, 1.0) for s in standings]))
    rows = len(standings)
    height = (0.3 * rows + 0.72) * (len(panels) if narrow else 1)
    width = 3.7 if narrow else 8.6 if len(panels) > 1 else 6.0
    canvas = Canvas(figsize=(width, height))
    grid = (len(panels), 1) if narrow else (1, len(panels))
    axes = canvas.subplots(*grid, squeeze=False).ravel()
    for k, (ax, (title, top, ends)) in enumerate(zip(axes, panels, strict=True)):
        _forest_panel(ax, title, standings, ends, top, labelled=narrow or k == 0)
    left = 0.47 if narrow else 0.235 if len(panels) > 1 else 0.33
    canvas.subplots_adjust(
        left=left, right=0.975, top=1 - 0.35 / height, bottom=0.32 / height, wspace=0.13, hspace=0.28
    )
    words = "; ".join(
        f"{s.name}: agreement {s.agreement.text('percent')}, {primary_name} {s.primary.text()}"
        for s in standings
    )
    name = "forest-narrow" if narrow else "forest"
    return _svg(canvas, name, "Agreement with the human labels, with 95 % intervals", words)


def _ends(figure: Figure, scale: float) -> _Ends | None:
    """Lower end, value, upper end; None where the figure is not defined."""
    if figure.value is None:
        return None
    low = figure.value if figure.low is None else figure.low
    high = figure.value if figure.high is None else figure.high
    return scale * low, scale * figure.value, scale * high


def _forest_panel(
    ax: Axes,
    title: str,
    standings: Sequence[Standing],
    triples: Sequence[_Ends | None],
    top: float,
    *,
    labelled: bool,
) -> None:
    lowest = min([0.0, *(t[0] for t in triples if t)])
    ax.axvline(0, color=RULE, linewidth=1, zorder=0)
    for y, (standing, triple) in enumerate(zip(standings, triples, strict=True)):
        colour, strong = COLOURS[standing.role], standing.role in ("after", "before")
        if triple is None:
            ax.text(lowest, y, "not defined", color=MUTED, fontsize=9, va="center", parse_math=False)
            continue
        low, value, high = triple
        ax.plot([low, high], [y, y], color=colour, linewidth=2.6 if strong else 1.5, solid_capstyle="butt")
        ax.plot([value], [y], MARKERS[standing.role], color=colour, markersize=8 if strong else 5.5)
    ax.set_xlim(lowest - 0.04 * top, 1.03 * top)
    ax.set_ylim(len(standings) - 0.4, -0.6)
    names = [one_line(s.name, 40) for s in standings]
    ax.set_yticks(range(len(names)), names if labelled else [""] * len(names), parse_math=False)
    for tick, standing in zip(ax.get_yticklabels(), standings, strict=True):
        strong = standing.role in ("after", "before")
        tick.set_color(INK if strong else MUTED)
        tick.set_fontweight("bold" if standing.role == "after" else "normal")
    ax.set_title(title, loc="left", fontsize=10, color=INK, pad=7, parse_math=False)
    _quiet(ax)


def _quiet(ax: Axes) -> None:
    ax.grid(axis="x", color=RULE, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(length=0, labelsize=9.5, pad=5)
    ax.tick_params(axis="x", labelcolor=MUTED)
    for side in ("top", "right", "left", "bottom"):
        ax.spines[side].set_visible(False)


def reliability(judges: Sequence[tuple[str, Role, Calibration]], name: str = "reliability") -> Markup:
    """Share that was right against confidence, with Wilson's 95 % intervals; the diagonal is honest.

    Args:
        judges: name, role and calibration of each.
        name: unique on the page.
    """
    canvas = Canvas(figsize=(4.2, 3.7))
    ax = canvas.subplots()
    ax.plot([0, 1], [0, 1], color=RULE, linewidth=1.4)
    words = []
    for who, role, calibration in judges:
        for b in calibration.bins:
            ax.plot([b.confidence] * 2, [b.low, b.high], color=COLOURS[role], linewidth=1.2)
            words.append(f"{who}, {b.n} rows: confidence {b.confidence:.2f}, right {b.agreement:.2f}")
        if calibration.bins:
            xs, ys = [b.confidence for b in calibration.bins], [b.agreement for b in calibration.bins]
            ax.plot(
                xs,
                ys,
                MARKERS[role],
                linestyle="-",
                linewidth=1,
                color=COLOURS[role],
                label=one_line(who, 30),
            )
    ax.set_xlim(-0.02, 1.02)
    ax.set_ylim(-0.02, 1.02)
    ax.set_xlabel("Confidence of the verdict", fontsize=9.5, color=MUTED)
    ax.set_ylabel("Share that was right", fontsize=9.5, color=MUTED)
    _quiet(ax)
    ax.grid(axis="y", color=RULE, linewidth=0.6)
    ax.tick_params(labelcolor=MUTED)
    _legend(ax, "upper left")
    canvas.subplots_adjust(left=0.15, right=0.97, top=0.97, bottom=0.15)
    return _svg(canvas, name, "Reliability diagram", "; ".join(words))


def risk_curve(judges: Sequence[tuple[str, Role, RiskCoverage]], name: str = "risk-coverage") -> Markup:
    """Agreement on the rows that are accepted, against their share, by falling confidence."""
    canvas = Canvas(figsize=(4.2, 3.7))
    ax = canvas.subplots()
    words = []
    for who, role, curve in judges:
        if not curve.points:
            continue
        xs = [p.coverage for p in curve.points]
        ax.fill_between(
            xs, [p.low for p in curve.points], [p.high for p in curve.points], color=COLOURS[role], alpha=0.13,
            linewidth=0,
        )  # fmt: skip
        few = len(xs) < 25
        ax.plot(
            xs, [p.agreement for p in curve.points], (MARKERS[role] + "-") if few else "-", markersize=4,
            linewidth=1.5, color=COLOURS[role], label=one_line(who, 30),
        )  # fmt: skip
        shown = curve.points[:: max(1, len(curve.points) // 5)]
        words += [
            f"{who}: accepting {100 * p.coverage:.0f} % agrees on {100 * p.agreement:.0f} %" for p in shown
        ]
    ax.set_xlim(0, 1.02)
    ax.set_ylim(-0.02, 1.02)
    ax.set_xlabel("Share of rows that is accepted", fontsize=9.5, color=MUTED)
    ax.set_ylabel("Agreement on them", fontsize=9.5, color=MUTED)
    _quiet(ax)
    ax.grid(axis="y", color=RULE, linewidth=0.6)
    ax.tick_params(labelcolor=MUTED)
    _legend(ax, "lower left")
    canvas.subplots_adjust(left=0.15, right=0.97, top=0.97, bottom=0.15)
    return _svg(canvas, name, "Risk and coverage", "; ".join(words))


def _legend(ax: Axes, place: str) -> None:
    legend = ax.legend(frameon=False, fontsize=9.5, loc=place, handlelength=1.2)
    for text in legend.get_texts():
        text.set_parse_math(False)


def learning(history: Sequence[LearningStep], *, narrow: bool) -> Markup | None:
    """The optimizer's metric by step; None where fewer than two steps measured the same metric."""
    series: dict[str, list[tuple[int, float]]] = {}
    for step in history:
        if step.value is not None:
            series.setdefault(step.metric, []).append((step.step, step.value))
    series = {metric: points for metric, points in series.items() if len(points) > 1}
    if not series:
        return None
    canvas = Canvas(figsize=(3.7, 2.3) if narrow else (8.6, 2.3))
    ax = canvas.subplots()
    colours = cycle((COLOURS["after"], COLOURS["ceiling"], MUTED))
    for (metric, points), colour in zip(series.items(), colours, strict=False):
        xs, ys = [x for x, _ in points], [y for _, y in points]
        ax.plot(xs, ys, "o-", color=colour, linewidth=1.6, markersize=4.5, label=one_line(metric, 40))
    ax.set_xlabel("Step", fontsize=9.5, color=MUTED)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    _quiet(ax)
    ax.grid(axis="y", color=RULE, linewidth=0.6)
    ax.tick_params(labelcolor=MUTED)
    _legend(ax, "best")
    canvas.subplots_adjust(left=0.13 if narrow else 0.06, right=0.98, top=0.95, bottom=0.22)
    words = "; ".join(
        f"{metric}: " + ", ".join(f"{y:.2f}" for _, y in points) for metric, points in series.items()
    )
    return _svg(canvas, "learning-narrow" if narrow else "learning", "Learning history", words)


def _svg(canvas: Canvas, name: str, title: str, description: str) -> Markup:
    """Draw, then keep only what a page needs: no declaration, metadata, namespaces or global style."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": name, "font.family": "sans-serif"})
        mpl.rcParams["axes.unicode_minus"] = False  # as in the tables beside the plots
        out = io.BytesIO()
        canvas.patch.set_alpha(0)
        for ax in canvas.axes:
            ax.patch.set_alpha(0)
        FigureCanvasSVG(canvas).print_svg(out, metadata={"Date": None, "Creator": None})
    root = ET.fromstring(out.getvalue())  # noqa: S314  (matplotlib's own output)
    _keep_drawing_only(root, name)
    root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img", "class": "plot"}
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        node = ET.Element(tag, {"id": f"{name}-{tag}"})
        node.text = one_line(text)
        root.insert(place, node)
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704  (serialized, so escaped)


def _keep_drawing_only(root: ET.Element, name: str) -> None:
    used = {
        target
        for node in root.iter()
        for value in node.attrib.values()
        for _, target in _REFERENCE.findall(value)
    }
    for node in root.iter():
        for child in list(node):
            if child.tag.rpartition("}")[2] in ("metadata", "style"):
                node.remove(child)
        node.tag = node.tag.rpartition("}")[2]
        for key in list(node.attrib):
            value = node.attrib.pop(key)
            bare = key.rpartition("}")[2]
            if bare == "id":
                if value not in used:
                    continue
                value = f"{name}-{value}"
            elif bare == "href" or "url(#" in value:
                value = _REFERENCE.sub(rf"\1{name}-\2", value)
            node.set(bare, value)
