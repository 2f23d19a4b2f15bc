"""Do the intervals hold what they promise, over a grid and not at one point?

    python -m benchmarks.intervals.run --data ../shared/data
    python -m benchmarks.intervals.run --only rates,selective     # keeps the other parts of results.json

Simulations need no data and no model. `annotators` reads the public files; without --data it is left out.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.intervals import others
from benchmarks.intervals.annotators import annotators
from benchmarks.intervals.rates import rates
from benchmarks.record import check, write_results

HERE = Path(__file__).parent
PARTS = {
    "rates": rates,
    "means": others.means,
    "clusters": others.clusters,
    "selective": others.selective,
    "margins": others.margins,
    "promotion": others.promotion,
}
ERROR = 0.0207
"""Three standard errors of a coverage of .95 in 1,000 runs."""


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with the .jsonl files")
    parser.add_argument("--only", default=",".join([*PARTS, "annotators"]), help="parts, with commas")
    options = parser.parse_args()
    wanted = options.only.split(",")
    file = HERE / "results.json"
    kept = json.loads(file.read_text())["rows"] if file.is_file() else []
    rows = [row for row in kept if row["part"] not in wanted]
    for part in wanted:
        if part in PARTS:
            rows += list(PARTS[part]())
        elif options.data:
            rows += annotators(options.data)
        print(f"done: {part}", flush=True)
    order = [*PARTS, "annotators"]
    rows.sort(key=lambda row: order.index(row["part"]))
    corners = [
        {key: row[key] for key in ("prevalence", "sensitivity", "specificity", "labels", "beta_coverage")}
        for row in rows
        if row["part"] == "rates" and not 0.93 <= row["beta_coverage"] <= 0.97
    ]
    write_results(
        HERE, "python -m benchmarks.intervals.run --data ../shared/data", rows, checks(rows),
        ("numpy", "scipy", "statsmodels"), runs=1000, corners_where_the_beta_leaves_the_band=corners,
    )  # fmt: skip


if __name__ == "__main__":
    main()
