"""Aspect sentiment of restaurant reviews: does alignment on 100 real labels help a small real model?

    python -m benchmarks.cebab.run --data ../shared/data --home /tmp/cebab

Three seeds, that is three splits by review. The same configuration as `configs/cebab.yaml`; besides, the
parts of the aligned judge alone on the same held-out rows. Rerun with the same --home it buys no call.
"""

import argparse
import os
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.record import ROOT, check, write_results
from judge_opt.experiments.config import load_config
from judge_opt.experiments.run import prepare, run
from judge_opt.experiments.validation import validate
from judge_opt.llm.session import Session, use_session
from judge_opt.memory.fusion import Fusion

HERE = Path(__file__).parent
SEEDS = (0, 1, 2)
PACKAGES = ("dspy", "sentence-transformers", "torch", "faiss-cpu", "xllamacpp", "scikit-learn")


def figure(found: Any) -> dict[str, float | None]:
    return {"value": found.value, "low": found.low, "high": found.high}


def of_judge(agreement: Any) -> dict[str, Any]:
    return {
        "agreement": figure(agreement.metrics["agreement"]),
        "kappa": figure(agreement.metrics["kappa"]),
        "coverage": agreement.coverage,
    }


def one_seed(seed: int, home: Path, model: str) -> dict[str, Any]:
    config, folder = load_config(
        ROOT / "configs" / "cebab.yaml", {"seed": seed, "split.seed": seed, "judge.model": model}
    )
    prepared = prepare(config, folder, home)
    began = time.monotonic()
    outcome = run(prepared, on_event=lambda e: show(seed, e))
    seconds = time.monotonic() - began
    report = outcome.report
    assert report.validation is not None
    train, _, test = prepared.split.select(prepared.examples)
    row: dict[str, Any] = {
        "seed": seed,
        "model": model,
        "train": len(train),
        "test": report.validation.n_rows,
        "groups": report.validation.n_groups,
        "promoted": outcome.promoted,
        "untouched": of_judge(report.validation.before),
        "aligned": of_judge(report.validation.after),
        "difference": figure(report.validation.comparison.difference),
        "p_one_sided": report.validation.comparison.p_value,
        "ceiling": {
            "agreement": figure(report.validation.ceiling.agreement),
            "kappa": figure(report.validation.ceiling.primary),
        },
        "baselines": {
            b.name: {"agreement": figure(b.agreement), "kappa": figure(b.primary)}
            for b in report.validation.baselines
        },
        "training_scores": {step.what: step.value for step in report.history},
        "calls": sum(line.calls for line in report.ledger),
        "seconds": round(seconds, 1),
    }
    # The parts alone, on the same rows: examples in the prompt without fusion; fusion without the judge.
    with Session(home, run_id=f"{outcome.run_id}-parts") as session, use_session(session):
        from judge_opt.align.memalign import MemAlign

        settings = {**config.optimizer.settings, "concurrency": 2}
        full = MemAlign(**settings).align(prepared.judge, train, seed=config.seed).judge
        assert full.memory is not None
        shown = full.with_memory(replace(full.memory, shots=3, fusion=None))
        row["examples_only"] = of_judge(
            validate(prepared.judge, shown, test, embedder=None, concurrency=2).after
        )
        if full.memory.fusion is not None:
            weights = {name: w for name, w in full.memory.fusion.weights.items() if name != "judge"}
            text = full.with_memory(replace(full.memory, fusion=Fusion(weights, full.memory.fusion.bias)))
            row["fusion_without_the_judge"] = of_judge(
                validate(prepared.judge, text, test, embedder=None, concurrency=2).after
            )
            row["fusion_weights"] = dict(full.memory.fusion.weights)
    return row


def show(seed: int, event: Any) -> None:
    if event.done in (0, event.total):
        print(f"seed {seed}: {event.phase} {event.done}/{event.total}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with cebab.jsonl")
    parser.add_argument("--home", type=Path, required=True, help="folder for calls and runs")
    parser.add_argument("--model", default="local:/smollm2")
    options = parser.parse_args()
    os.environ["JUDGE_OPT_DATA"] = str(options.data.resolve())
    rows = [one_seed(seed, options.home, options.model) for seed in SEEDS]

    def mean(of: Any) -> float:
        return statistics.mean(of(row) for row in rows)

    def kappa(name: str) -> float:
        return mean(lambda row: row["baselines"][name]["kappa"]["value"])

    aligned = mean(lambda row: row["aligned"]["kappa"]["value"])
    untouched = mean(lambda row: row["untouched"]["kappa"]["value"])
    examples = mean(lambda row: row["examples_only"]["kappa"]["value"])
    text = {name: kappa(name) for name in rows[0]["baselines"] if name != "output_length"}
    best = max(text, key=lambda name: text[name])
    summary = {
        "mean_kappa": {
            "untouched": round(untouched, 3),
            "aligned": round(aligned, 3),
            "examples_only": round(examples, 3),
            **{f"baseline: {name}": round(value, 3) for name, value in text.items()},
        },
        "best_text_only": best,
    }
    checks = [
        check("gain", "mean kappa gained over the untouched judge", aligned - untouched, ">=", 0.2),
        check(
            "gain-every-seed",
            "seeds in which the aligned judge was promoted",
            sum(r["promoted"] for r in rows),
            "==",
            3,
        ),
        check(
            "fusion-vs-llm",
            "mean kappa over the judge with examples and no fusion",
            aligned - examples,
            ">=",
            0.0,
        ),
        check(
            "fusion-vs-text",
            f"mean kappa over the best text-only baseline ({best})",
            aligned - text[best],
            ">=",
            0.0,
        ),
    ]
    write_results(
        HERE,
        "python -m benchmarks.cebab.run --data ../shared/data --home /tmp/cebab",
        rows,
        checks,
        PACKAGES,
        summary=summary,
    )


if __name__ == "__main__":
    main()
