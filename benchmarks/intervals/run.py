"""Do the intervals hold what they promise, over a grid and not at one point?

    python -m benchmarks.intervals.run --data ../shared/data
    python -m benchmarks.intervals.run --only rates,selective     # keeps the other parts of results.json

Simulations need no data and no model. `annotators` reads the public files; without --data it is left out. Each
cell that is done is kept in the folder .cells, so the same command goes on where it was stopped; --anew begins
again. The script alone writes results.json.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.intervals import others
from benchmarks.intervals.annotators import annotators
from benchmarks.intervals.cells import Cell, Row, rows_of
from benchmarks.intervals.rates import HIGH, LOW, SAME_STREAM, cells
from benchmarks.intervals.rates import RUNS as RATE_RUNS
from benchmarks.record import check, write_results

HERE = Path(__file__).parent
PARTS = {
    "rates": cells,
    "means": lambda: whole("means", others.means),
    "clusters": others.clusters,
    "selective": lambda: whole("selective", others.selective),
    "margins": lambda: whole("margins", others.margins),
    "promotion": lambda: whole("promotion", others.promotion),
    "alarms": lambda: whole("alarms", others.alarms),
}
ERROR = 0.0207
"""Three standard errors of a coverage of .95 in 1,000 runs."""


def whole(name: str, make: Callable[[], Iterable[Row]]) -> list[Cell]:
    """A part that is quick enough to be one cell."""
    return [Cell(name, lambda: list(make()))]


def checks(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What issue 7 asks for, met or not; and each corner where a method does not hold is counted."""
    of = {part: [row for row in rows if row["part"] == part] for part in [*PARTS, "annotators"]}
    out = []
    for name, title in (("beta", "Post-stratified Beta"), ("ppi", "PPI++"), ("rogan_gladen", "Rogan-Gladen")):
        found = [row[f"{name}_coverage"] for row in of["rates"]]
        if found:
            inside = sum(0.93 <= c <= 0.97 for c in found) / len(found)
            out.append(
                check(
                    f"{name}-band", f"{title}: share of the grid with coverage .93 to .97", inside, ">=", 1.0
                )
            )
            out.append(check(f"{name}-least", f"{title}: least coverage on the grid", min(found), ">=", 0.93))
    if of["rates"]:
        named = [corner(row) for row in of["rates"] if row["recommended"] is None]
        share = 1 - len(named) / len(of["rates"])
        out.append(
            check("recommended", "Share of the grid where some method is in the band", share, ">=", 1.0)
        )
        least = min(row["beta_coverage"] for row in of["rates"])
        out.append(
            check(
                "beta-noise",
                "Post-stratified Beta: least coverage, less the simulation's error",
                least,
                ">=",
                0.95 - 2 * ERROR,
            )
        )
        narrower = sum(row["beta_width"] < row["labels_alone_wilson_width"] for row in of["rates"]) / len(
            of["rates"]
        )
        out.append(
            check(
                "beta-narrower",
                "Post-stratified Beta: share of the grid narrower than labels alone",
                narrower,
                ">=",
                0.9,
            )
        )
    for row in of["clusters"]:
        if "comparison" not in row["what"]:
            name = f"{row['what']}-{row['groups']}".replace(" ", "-")
            out.append(
                check(
                    name, f"{row['what']}, {row['groups']} groups of 4: coverage", row["coverage"], ">=", 0.93
                )
            )
    if of["means"]:
        out.append(
            check(
                "means-least",
                "PPI++ of a mean: least coverage, but for the shape at the edge",
                min(r["coverage"] for r in of["means"] if r["shape"] != "edge"),
                ">=",
                0.93,
            )
        )
    if of["selective"]:
        out.append(
            check(
                "selective",
                "Selective judging: greatest share of too loose thresholds at delta .1 (and its error)",
                max(r["too_loose"] for r in of["selective"]),
                "<=",
                0.1 + 0.0285,
            )
        )
    for row in of["margins"]:
        out.append(
            check(
                f"margin-{row['groups']}",
                f"Non-inferiority, {row['groups']} groups: certified at the margin",
                row["certified_t_on_jackknife"],
                "<=",
                0.05 + ERROR,
            )
        )
    for row in of["alarms"]:
        if row["case"] in ("unchanged", "at the floor for 2,000 labels", "floor from 100 reference labels"):
            # Where the floor is itself estimated, its own error comes on top.
            most = 0.1 if row["case"].startswith("floor") else 0.05
            name = f"{row['what']}-{row['case']}".replace(" ", "-").replace(",", "")
            out.append(
                check(name, f"False alarms, {row['what']}, {row['case']}", row["alarmed"], "<=", most + ERROR)
            )
    for row in of["promotion"]:
        out.append(
            check(
                f"promotion-{row['groups']}-{row['rows']}",
                f"Equal judges, {row['groups']} groups, {row['rows']} rows: rejected at .05",
                row["rejected"],
                "<=",
                0.05 + ERROR,
            )
        )
    return out


def corner(row: Row) -> Row:
    """A cell where no method holds, by name and with what each does there."""
    keys = ("prevalence", "sensitivity", "specificity", "labels", *(f"{m}_coverage" for m in SAME_STREAM))
    return {key: row[key] for key in keys}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with the .jsonl files")
    parser.add_argument("--only", default=",".join([*PARTS, "annotators"]), help="parts, with commas")
    parser.add_argument("--anew", action="store_true", help="forget the cells that are done")
    options = parser.parse_args()
    wanted = options.only.split(",")
    file, kept_cells = HERE / "results.json", HERE / ".cells"
    kept = json.loads(file.read_text())["rows"] if file.is_file() else []
    rows = [
        row for row in kept if row["part"] not in wanted or (row["part"] == "annotators" and not options.data)
    ]
    for part in wanted:
        if options.anew:
            (kept_cells / f"{part}.jsonl").unlink(missing_ok=True)
        if part in PARTS:
            rows += rows_of(part, PARTS[part](), kept_cells)
        elif options.data:
            rows += annotators(options.data)
        write(rows)


def write(rows: list[Row]) -> None:
    order = [*PARTS, "annotators"]
    rows = sorted(rows, key=lambda row: order.index(row["part"]))
    grid = [row for row in rows if row["part"] == "rates"]
    write_results(
        HERE, "python -m benchmarks.intervals.run --data ../shared/data", rows, checks(rows),
        ("numpy", "scipy", "statsmodels"), runs={"rates": RATE_RUNS, "others": others.RUNS},
        recommended=dict(Counter(str(row["recommended"]) for row in grid)),
        corners_where_no_method_is_in_the_band=[corner(row) for row in grid if row["recommended"] is None],
        corners_where_the_beta_leaves_the_band=[
            corner(row) for row in grid if not LOW <= row["beta_coverage"] <= HIGH
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
