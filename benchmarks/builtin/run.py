"""Every built-in judge on its hand-written cases, with one model. Resumes: calls are bought once."""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.record import check, write_results
from judge_opt.core.results import Scored
from judge_opt.judges.builtin import BUILT_INS, CaseTable, builtin_cases, case_judge, run_cases
from judge_opt.llm.session import Session, use_session
from judge_opt.validate.intervals import wilson_interval

HERE = Path(__file__).parent
PACKAGES = ("dspy", "xllamacpp")


def agreement(table: CaseTable) -> dict[str, Any]:
    """Right verdicts among the verdicts, with the 95 % Wilson interval."""
    judged = [row for row in table.rows if row.right is not None]
    right = sum(row.right is True for row in judged)
    found = wilson_interval(right, len(judged)) if judged else None
    return {
        "right": right,
        "judged": len(judged),
        "agreement": round(right / len(judged), 4) if judged else None,
        "low": round(found.low, 4) if found else None,
        "high": round(found.high, 4) if found else None,
    }


def ranking(table: CaseTable) -> float | None:
    """Probability that a case whose right verdict is yes gets a higher P(yes) than one whose verdict is no:
    what the model knows besides its habit of saying one thing. 0.5 is chance; None without probabilities."""
    odds = [(row.judged, row.case.expected) for row in table.rows if isinstance(row.judged, Scored)]
    yes = [j.probabilities["yes"] for j, gold in odds if j.probabilities and gold == "yes"]
    no = [j.probabilities["yes"] for j, gold in odds if j.probabilities and gold == "no"]
    if not yes or not no:
        return None
    return sum((a > b) + (a == b) / 2 for a in yes for b in no) / (len(yes) * len(no))


def row_of(title: str, table: CaseTable) -> dict[str, Any]:
    said: dict[str, int] = {}
    for row in table.rows:
        key = str(row.judged.value) if isinstance(row.judged, Scored) else row.judged.reason
        said[key] = said.get(key, 0) + 1
    return {
        "judge": title,
        "prompt_version": BUILT_INS[title].version,
        "cases": len(table.rows),
        "coverage": round(table.coverage, 4),
        **agreement(table),
        "constant": round(table.constant, 4),
        "ranking": ranking(table) if "yes" in BUILT_INS[title].value_type.labels else None,
        "traps": agreement(table.of_kind("trap")),
        "said": dict(sorted(said.items())),
        "wrong": [row.case.id for row in table.rows if row.right is False],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="folder for calls")
    parser.add_argument("--model", default="local:/smollm2")
    parser.add_argument("--base-url", default=None)
    parser.add_argument("--concurrency", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no judge after this time")
    options = parser.parse_args()
    began = time.monotonic()
    rows, tables = [], []
    with Session(options.home, run_id="builtin") as session, use_session(session):
        for title in BUILT_INS:
            if time.monotonic() - began > options.seconds:
                print("out of time: the same command goes on from here", file=sys.stderr)
                return
            judge = case_judge(title, model=options.model, base_url=options.base_url)
            table = run_cases(judge, builtin_cases(title), concurrency=options.concurrency)
            tables.append(table)
            rows.append(row_of(title, table))
            print(f"{title}: {rows[-1]['right']} of {rows[-1]['judged']}", file=sys.stderr, flush=True)
    whole = CaseTable("all", tuple(row for table in tables for row in table.rows))
    found = agreement(whole)
    constant = sum(row["constant"] * row["cases"] for row in rows) / len(whole.rows)
    ranks = [row["ranking"] for row in rows if row["ranking"] is not None]
    by_kind = {kind: agreement(whole.of_kind(kind)) for kind in ("pass", "fail", "trap")}
    write_results(
        HERE,
        "python -m benchmarks.builtin.run --home /tmp/builtin",
        rows,
        [
            check("judges", "built-in judges with cases", len(rows), "==", 21),
            check("cases", "fewest cases of a judge", min(row["cases"] for row in rows), ">=", 12),
            check("coverage", "share of all cases with a verdict", whole.coverage, ">=", 0.95),
            check(
                "better-than-constant",
                "agreement over all cases, less that of the best constant verdict of each judge",
                (found["agreement"] or 0.0) - constant,
                ">=",
                0.0,
            ),
        ],
        PACKAGES,
        summary={
            "model": options.model,
            "all": found | {"constant": round(constant, 4), "coverage": round(whole.coverage, 4)},
            "by_kind": by_kind,
            "mean_ranking": round(sum(ranks) / len(ranks), 4) if ranks else None,
        },
    )


if __name__ == "__main__":
    main()
