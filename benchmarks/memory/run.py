"""Episodic memory at a thousand, a hundred thousand and a million examples: build, query, add, remove.

python -m benchmarks.memory.run --data ../shared/data [--home build/memory] [--repeats 3] [--sizes 1000 100000]

What takes long is done once: vectors, rows and the index stay in the home folder, and so do the figures of
their making. Begun again, the run goes on with what is missing. `--fresh` builds again.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.memory.arms import results
from benchmarks.memory.vectors import (
    DIMENSION,
    QUERIES,
    near,
    neighbour_cosines,
    read,
    sentences,
    split,
    write,
)
from benchmarks.overhead.run import server
from benchmarks.record import ROOT, check, write_results
from judge_opt.llm.session import Session

HERE = Path(__file__).parent
SIZES = (1_000, 100_000, 1_000_000)
RIVAL_UP_TO = 100_000
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def arm(name: str, home: Path, n: int, seconds: int = 3600) -> dict[str, Any]:
    """One measurement in a process of its own."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "JUDGE_OPT_"))}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory.arms", name, str(home), str(n)],
        capture_output=True, text=True, check=False, timeout=seconds,
        env={**env, "PYTHONPATH": str(ROOT), "JUDGE_OPT_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    found = list(results(done.stdout))
    if not found:
        raise SystemExit(f"{name} {n}: {done.stderr[-2000:]}")
    print(f"{name} {n}: {json.dumps(found[-1])}", flush=True)
    return found[-1]


def prepare(home: Path, data: Path, sizes: list[int]) -> dict[str, Any]:
    """Vectors, queries and exact answers; what the distances between neighbours look like."""
    texts = sentences(data)
    (home / "sentences.txt").write_text("".join(text + "\n" for text in texts), "utf-8")
    with Session(home / "texts") as session:
        embedder = session.embedder("local:/minilm")
        parts = []
        for start in range(0, len(texts), 500):
            parts.append(embedder.embed(texts[start : start + 500]))
            print(f"embedded {min(start + 500, len(texts))} of {len(texts)}", end="\r", flush=True)
    queries, others = split(np.concatenate(parts))
    queries.tofile(home / "queries.f32")
    about: dict[str, Any] = {
        "sentences": len(texts),
        "neighbour_cosine_real": _quantiles(neighbour_cosines(others)),
        "query_cosine_real": {rank: _quantiles(near(queries, others, rank)[0][:, -1]) for rank in (1, 10)},
        "query_cosine_made": {},
        "neighbour_cosine_made": {},
    }
    for n in sizes:
        path, told = home / f"{n}.f32", home / f"{n}.about.json"
        if not told.exists():
            write(others, n, path)
            rows = read(path)
            scores, places = near(queries, rows, 10)
            np.save(home / f"{n}.truth.npy", places)
            some = np.random.default_rng(0).choice(n, min(n, 500), replace=False)
            own = near(np.ascontiguousarray(rows[np.sort(some)]), rows, 2)[0][:, 1]
            made = {
                "query": {str(rank): _quantiles(scores[:, rank - 1]) for rank in (1, 10)},
                "neighbour": _quantiles(own),
            }
            told.write_text(json.dumps(made))
        made = json.loads(told.read_text())
        about["query_cosine_made"][str(n)] = made["query"]
        about["neighbour_cosine_made"][str(n)] = made["neighbour"]
    return about


def _quantiles(values: Any) -> list[float]:
    return [round(float(value), 3) for value in np.quantile(values, QUANTILES)]


def kept(home: Path, name: str, n: int) -> dict[str, Any]:
    """A measurement that is made once and kept."""
    path = home / f"{n}.{name}.json"
    if not path.exists():
        path.write_text(json.dumps(arm(name, home, n)))
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def middle(repeats: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians of the figures; the least and the most of the query's median beside them."""
    out: dict[str, Any] = {}
    for key, value in repeats[0].items():
        values = [one[key] for one in repeats]
        numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
        out[key] = round(statistics.median(values), 4) if numeric else value
        if key.endswith("_p50_ms"):
            out[key.replace("_p50_", "_p50_range_")] = [min(values), max(values)]
        if isinstance(value, bool):
            out[key] = all(values)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--home", type=Path, default=ROOT / "build" / "memory")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--fresh", action="store_true")
    given = parser.parse_args()
    home: Path = given.home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    if given.fresh:
        for path in home.glob("*.db*"):
            path.unlink()
        for path in home.glob("*.*.json"):
            if not path.name.endswith("about.json"):
                path.unlink()
    about = prepare(home, given.data, given.sizes)
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    once: dict[tuple[str, int], dict[str, Any]] = {}
    for n in given.sizes:
        once["ours", n] = kept(home, "build", n)
    for number in range(given.repeats):
        for n in given.sizes:
            found.setdefault(("ours", n), []).append(arm("query", home, n) | arm("change", home, n))
            if n <= RIVAL_UP_TO:
                found.setdefault(("dspy.Embeddings", n), []).append(arm("dspy", home, n))
            if 1_000 < n <= RIVAL_UP_TO and number == 0:
                found["faiss HNSW alone", n] = [arm("hnsw", home, n)]
        with server() as port:
            found.setdefault(("judgement", 200), []).append(arm("overhead", home, port))
    shutil.rmtree(home / "overhead", ignore_errors=True)
    rows = [
        {"arm": name, "n": n, "repeats": len(some), **once.get((name, n), {}), **middle(some)}
        for (name, n), some in found.items()
    ]
    judged = middle(found["judgement", 200])
    checks = [
        check(
            "embedded_once", "350 texts of which 1 is new: texts embedded",
            judged["texts_embedded_of_350_with_1_new"], "<=", 1,
        )
    ]  # fmt: skip
    big = max(given.sizes)
    if big == SIZES[-1]:
        one = middle(found["ours", big])
        checks += [
            check("query_p50", "ms a query at 1e6, median", one["query_p50_ms"], "<=", 2.0),
            check("recall", "recall@10 at 1e6 against exact search", one["recall"], ">=", 0.95),
            check("add_p50", "ms to add one example at 1e6, median", one["add_p50_ms"], "<=", 5.0),
            check("remove", "the memory is as before after add, update, remove", one["digest_as_before"], "==", 1),
        ]  # fmt: skip
    write_results(
        HERE,
        "python -m benchmarks.memory.run --data ../shared/data",
        rows,
        checks,
        ("faiss-cpu", "numpy", "dspy", "sentence-transformers"),
        vectors={"dimension": DIMENSION, "queries": QUERIES, "quantiles": QUANTILES, **about},
        load_average=[round(one, 2) for one in os.getloadavg()],
    )


if __name__ == "__main__":
    main()
