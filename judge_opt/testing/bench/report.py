"""The files of a finished grid: tables in Parquet, a page in Markdown, learning curves, critical differences.

All but `timings.parquet` are the same bytes for the same lines.
"""

from collections.abc import Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

from judge_opt.core.errors import UsageError
from judge_opt.core.files import write_text
from judge_opt.testing.bench.analysis import Difference, Line, Summary, differences, ranks, summaries
from judge_opt.testing.bench.config import BenchConfig
from judge_opt.testing.bench.efficiency import Efficiency, efficiencies
from judge_opt.testing.lab.families import registration

_TIMES = ("align_s", "judge_s")


def write_report(folder: Path, config: BenchConfig, lines: Sequence[Line]) -> Path:
    """Write the files; returns the page's path.

    Raises:
        UsageError: there are no lines, or pyarrow is not installed.
    """
    if not lines:
        raise UsageError("No cell has ended yet.", "Run the benchmark first.")
    found, gaps = summaries(lines, config), differences(lines, config)
    named = ("family", "world", "labels", "arm")
    _parquet(folder / "cells.parquet", [{k: v for k, v in line.items() if k not in _TIMES} for line in lines])
    _parquet(folder / "timings.parquet", [{k: line[k] for k in (*named, *_TIMES)} for line in lines])
    _parquet(folder / "summary.parquet", [asdict(one) for one in found])
    if gaps:
        _parquet(folder / "differences.parquet", [asdict(one) for one in gaps])
    _curves(folder / "curves.png", found)
    largest = max(size.labels for size in config.sizes)
    about = (
        f"Simulated worlds; registration `{registration()}`. {len(lines)} cells. A difference is settled where "
        "its interval leaves zero out and its corrected p is below 0.05. None of these figures is one of real "
        "labels."
    )
    parts = [
        f"# {config.name}\n\n{config.description.strip()}",
        about,
        "## Arms\n\n" + _table(_summary_row(one) for one in found),
    ]
    if gaps:
        head = f"## {config.reference} less the other arm\n\n"
        parts.append(head + _table(_difference_row(one) for one in gaps))
    standard = config.sizes[0].labels
    needed = efficiencies(lines, config, standard)
    if len(config.sizes) > 1 and needed:
        head = f"## Labels that {config.reference} needs for the other arm's mean at {standard}\n\n"
        parts.append(head + _table(_efficiency_row(one) for one in needed))
        _parquet(folder / "efficiency.parquet", [asdict(one) for one in needed])
    _pareto(folder / "pareto.png", [one for one in found if one.labels == standard])
    order, critical, worlds = ranks(lines, largest)
    if order:
        _critical(folder / "ranks.png", order, critical)
        rows = [
            {"arm": arm, "mean rank": f"{rank:.2f}"}
            for arm, rank in sorted(order.items(), key=lambda o: o[1])
        ]
        parts.append(
            f"## Ranks at {largest} labels\n\nOver {worlds} worlds; critical difference {critical:.2f}.\n\n"
            + _table(rows)
        )
    page = folder / "report.md"
    write_text(page, "\n\n".join(parts) + "\n")
    return page


def _summary_row(one: Summary) -> dict[str, str]:
    return {
        "family": one.family,
        "labels": str(one.labels),
        "arm": one.arm,
        "worlds": str(one.worlds),
        "kappa": f"{one.kappa:.3f}",
        "10 %": f"{one.tenth:.3f}",
        "worst": f"{one.worst:.3f}",
        "coverage": f"{one.coverage:.3f}",
        "failed": str(one.failed),
        "changed": "" if one.changed is None else str(one.changed),
        "harmed": "" if one.harmed is None else str(one.harmed),
        "calls": f"{one.calls:.0f}",
        "tokens": f"{one.tokens:.0f}",
    }


def _difference_row(one: Difference) -> dict[str, str]:
    verdict = ("better" if one.mean > 0 else "worse") if one.settled else "unsettled"
    return {
        "family": one.family,
        "labels": str(one.labels),
        "arm": one.arm,
        "worlds": str(one.worlds),
        "difference": f"{one.mean:+.3f}",
        "95 %": f"{one.low:+.3f} to {one.high:+.3f}",
        "p (Holm)": f"{one.p:.4f}",
        "": verdict,
    }


def _efficiency_row(one: Efficiency) -> dict[str, str]:
    return {
        "family": one.family,
        "arm": one.arm,
        f"kappa at {one.labels}": f"{one.kappa:.3f}",
        "labels": f"{one.needed:.0f}" if isfinite(one.needed) else "more",
        "95 %": f"{one.low:.0f} to {one.high:.0f}" if isfinite(one.high) else f"{one.low:.0f} or more",
    }


def _table(rows: Any) -> str:
    rows = list(rows)
    names = list(rows[0])
    lines = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    return "\n".join(lines + [f"| {' | '.join(row[name] for name in names)} |" for row in rows])


def _parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise UsageError("pyarrow is needed to write tables.", "pip install 'judge_opt[tables]'") from None
    pq.write_table(pa.Table.from_pylist(rows), path)


def _curves(path: Path, found: Sequence[Summary]) -> None:
    from matplotlib.figure import Figure

    families = list(dict.fromkeys(one.family for one in found))
    figure = Figure(figsize=(5 * len(families), 4), layout="constrained")
    for column, family in enumerate(families, 1):
        axes = figure.add_subplot(1, len(families), column)
        for arm in dict.fromkeys(one.arm for one in found):
            points = sorted(
                (one.labels, one.kappa) for one in found if (one.family, one.arm) == (family, arm)
            )
            axes.plot([x for x, _ in points], [y for _, y in points], marker="o", label=arm)
        axes.set(title=family, xlabel="labels", ylabel="mean kappa on held-out rows", xscale="log")
    figure.axes[-1].legend(fontsize=7)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _pareto(path: Path, found: Sequence[Summary]) -> None:
    """Agreement against calls; a line through the arms that none is better and cheaper than."""
    from matplotlib.figure import Figure

    families = list(dict.fromkeys(one.family for one in found))
    figure = Figure(figsize=(6 * len(families), 5), layout="constrained")
    for column, family in enumerate(families, 1):
        axes = figure.add_subplot(1, len(families), column)
        some = sorted((one.calls, -one.kappa, one.arm) for one in found if one.family == family)
        front: list[tuple[float, float]] = []
        for place, (calls, minus, arm) in enumerate(some):
            axes.plot(calls + 1, -minus, "o", color="black", markersize=4)
            shift = 4 if place % 2 else -8  # so that fewer names lie on each other
            axes.annotate(arm, (calls + 1, -minus), (4, shift), textcoords="offset points", fontsize=7)
            if not front or -minus > front[-1][1]:
                front.append((calls + 1, -minus))
        axes.margins(x=0.3)
        axes.step(*zip(*front, strict=True), where="post", color="grey", linewidth=1)
        axes.set(
            title=family,
            xlabel="calls to align, plus one",
            ylabel="mean kappa on held-out rows",
            xscale="log",
        )
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _critical(path: Path, order: dict[str, float], critical: float) -> None:
    from matplotlib.figure import Figure

    arms = sorted(order, key=order.__getitem__)
    figure = Figure(figsize=(7, 0.4 * len(arms) + 1.5), layout="constrained")
    axes = figure.add_subplot()
    for place, arm in enumerate(arms):
        axes.plot([order[arm], order[arm] + critical], [place, place], color="lightgrey", linewidth=5)
        axes.plot(order[arm], place, "o", color="black")
    axes.set(
        yticks=range(len(arms)),
        yticklabels=arms,
        xlabel="mean rank, 1 is best; arms left out by a grey bar are worse",
        title=f"critical difference {critical:.2f}",
    )
    axes.invert_yaxis()
    figure.savefig(path, dpi=110, metadata={"Software": None})
