"""One measurement, in a process of its own: `python -m benchmarks.memory.arms ARM HOME N` prints one JSON line.

CPU is this whole process's (all threads, user and system), over what is measured only.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.memory.vectors import DIMENSION, Floats, read
from judge_opt.core.values import categories
from judge_opt.labels.examples import Vote

K = 10
CHANGED = 200
EMBEDDER = "local:/minilm, resampled"
LABELS = categories("good", "bad")


def example(i: int) -> Any:
    from judge_opt.memory.episode import Episode

    parts = {
        "outputs": f"Reply number {i}: the parcel was sent on the third and should be there by Thursday."
    }
    votes = [Vote("ann", "good" if i % 3 else "bad", "It names a day, and that day can be kept.", f"a{i}")]
    return Episode.of_votes(f"e{i:07}", f"g{i // 2}", parts, votes, LABELS)


class Clock:
    """CPU and wall seconds since it was made."""

    def __init__(self) -> None:
        self.cpu, self.wall = time.process_time(), time.perf_counter()

    def seconds(self, name: str) -> dict[str, float]:
        return {
            f"{name}_cpu_s": round(time.process_time() - self.cpu, 3),
            f"{name}_wall_s": round(time.perf_counter() - self.wall, 3),
        }


def each(run: Callable[[int], Any], calls: int, name: str, warm: int = 0) -> dict[str, float]:
    """Milliseconds a call: the median and 95th percentile of the wall time, and the mean of the CPU time."""
    for i in range(warm):
        run(i)
    walls, cpu = [], time.process_time()
    for i in range(calls):
        begun = time.perf_counter()
        run(i)
        walls.append(time.perf_counter() - begun)
    spent = time.process_time() - cpu
    return {
        f"{name}_p50_ms": round(statistics.median(walls) * 1e3, 4),
        f"{name}_p95_ms": round(float(np.quantile(walls, 0.95)) * 1e3, 4),
        f"{name}_cpu_ms": round(spent / calls * 1e3, 4),
    }


def memory(name: str) -> dict[str, float]:
    """Resident now and at most, in MiB. Of /proc: what `getrusage` calls the most counts the parent, too."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        f"{name}_rss_mib": round(int(lines["VmRSS"].split()[0]) / 1024, 1),
        f"{name}_peak_rss_mib": round(int(lines["VmHWM"].split()[0]) / 1024, 1),
    }


def recall(found: list[set[int]], truth: Any) -> float:
    hits = [len(one & set(row[:K].tolist())) for one, row in zip(found, truth, strict=True)]
    return round(sum(hits) / (K * len(hits)), 4)


def opened(home: Path, n: int) -> Any:
    from judge_opt.memory.episode_store import EpisodeStore

    return EpisodeStore(home / f"{n}.db", EMBEDDER, DIMENSION)


def queries(home: Path) -> Floats:
    return np.ascontiguousarray(read(home / "queries.f32"))


# -- arms ----------------------------------------------------------------------------------------------------


def build(home: Path, n: int) -> dict[str, Any]:
    """Rows in transactions of 10,000, then the index. Begun again, it goes on where it was."""
    rows = read(home / f"{n}.f32")
    store = opened(home, n)
    clock = Clock()
    begun = len(store)
    for start in range(begun - begun % 10_000, n, 10_000):
        some = range(start, min(start + 10_000, n))
        store.add([example(i) for i in some], rows[some.start : some.stop])
    found: dict[str, Any] = {"rows_begun_at": begun, **clock.seconds("rows")}
    clock = Clock()
    store.rebuild()
    found |= clock.seconds("index") | memory("build")
    store.close()
    found["rows_mib"] = round((home / f"{n}.db").stat().st_size / 2**20, 1)
    files = home.glob(f"{n}.db.index.*.faiss")
    found["index_mib"] = round(sum(file.stat().st_size for file in files) / 2**20, 1)
    return found


def query(home: Path, n: int) -> dict[str, Any]:
    """A process that opens the memory and asks."""
    asked, truth = queries(home), np.load(home / f"{n}.truth.npy")
    clock = Clock()
    store = opened(home, n)
    store.nearest(asked[0], K)
    found = clock.seconds("open")
    answers: dict[int, list[tuple[int, float]]] = {}

    def one(i: int) -> None:
        answers[i] = store.nearest(asked[i], K)

    found |= each(one, len(asked), "query", warm=50)
    found |= each(lambda i: store.nearest(asked[i], K, not_group=f"g{i}"), len(asked), "query_not_group")
    found |= each(lambda i: store.examples(asked[i], 3), len(asked), "examples")
    ids = [{int(store.episode(key).id[1:]) for key, _ in answers[i]} for i in range(len(asked))]
    return found | {"recall": recall(ids, truth), "index": store.describe()} | memory("query")


def change(home: Path, n: int) -> dict[str, Any]:
    """Examples added, changed and removed one by one; the memory is as before at the end."""
    store, asked = opened(home, n), queries(home)
    store.nearest(asked[0], K)
    before = store.digest
    rows = [example(n + i) for i in range(CHANGED)]
    found = each(lambda i: store.add([rows[i]], asked[i][None]), CHANGED, "add")
    # Some sentences have twins, so the added one may come second.
    seen = [
        rows[i].id in {store.episode(key).id for key, _ in store.nearest(asked[i], 3)} for i in range(CHANGED)
    ]
    found |= each(lambda i: store.add([rows[i]], asked[i + CHANGED][None]), CHANGED, "update")
    found |= each(lambda i: store.remove([rows[i].id]), CHANGED, "remove")
    found["found_after_add"] = sum(seen) / CHANGED
    found["digest_as_before"] = store.digest == before
    store.close()
    return found


def dspy_embeddings(home: Path, n: int) -> dict[str, Any]:
    """`dspy.Embeddings` with the same vectors; its texts are the rows' numbers."""
    import dspy

    rows, asked, truth = read(home / f"{n}.f32"), queries(home), np.load(home / f"{n}.truth.npy")

    def embed(texts: list[str]) -> Any:
        if len(texts) == n:
            return np.array(rows)
        return np.stack([asked[int(text.removeprefix("q"))] for text in texts])

    clock = Clock()
    engine = dspy.Embeddings([str(i) for i in range(n)], embed, k=K)
    found: dict[str, Any] = clock.seconds("index") | memory("build")
    answers: dict[int, set[int]] = {}

    def one(i: int) -> None:
        answers[i] = {int(place) for place in engine(f"q{i}").indices}

    some = 100  # each waits 100 ms and more
    found |= each(one, some, "query", warm=3)
    return found | {"recall": recall([answers[i] for i in range(some)], truth[:some])} | memory("query")


def hnsw(home: Path, n: int) -> dict[str, Any]:
    """faiss's HNSW over the same vectors, alone: no rows are read."""
    import faiss

    rows, asked, truth = read(home / f"{n}.f32"), queries(home), np.load(home / f"{n}.truth.npy")
    clock = Clock()
    faiss.omp_set_num_threads(2)
    index = faiss.IndexHNSWFlat(DIMENSION, 32, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 80
    index.hnsw.efSearch = 64
    for start in range(0, n, 10_000):
        index.add(np.ascontiguousarray(rows[start : start + 10_000]))
    found: dict[str, Any] = clock.seconds("index") | memory("build")
    faiss.omp_set_num_threads(1)
    answers: dict[int, set[int]] = {}

    def one(i: int) -> None:
        answers[i] = set(index.search(asked[i : i + 1], K)[1][0].tolist())

    found |= each(one, len(asked), "query", warm=50)
    found |= each(lambda i: index.add(asked[i : i + 1]), CHANGED, "add")
    try:
        index.remove_ids(np.asarray([0]))
        found["removes"] = True
    except RuntimeError:
        found["removes"] = False
    return found | {"recall": recall([answers[i] for i in range(len(asked))], truth)} | memory("query")


def overhead(home: Path, port: int) -> dict[str, Any]:
    """CPU of one judgement over HTTP: plain, aligned with texts never seen, and with texts seen before."""
    from judge_opt import make_judge
    from judge_opt.llm.session import Session, use_session
    from judge_opt.memory.episodic import EpisodicMemory
    from judge_opt.memory.memory import Memory
    from judge_opt.memory.vectors import ItemEmbedder

    texts = (home / "sentences.txt").read_text("utf-8").splitlines()
    run = f"{time.time_ns()}"
    with Session(home / "overhead" / run) as session, use_session(session):
        judge = make_judge(
            "polite", "Is {{ outputs }} polite?", "openai:/any", categories("yes", "no"),
            base_url=f"http://127.0.0.1:{port}/judge",
        )  # fmt: skip
        embedder = session.embedder("local:/minilm")
        space = ItemEmbedder(embedder, ["outputs"])
        from dataclasses import replace

        from judge_opt.memory.episode import Episode

        rows = [replace(example(i), parts={"outputs": texts[i]}, gold="yes") for i in range(200)]
        assert all(isinstance(row, Episode) for row in rows)
        held = Memory(
            judge.value_type, "local:/minilm", {"outputs": 1.0}, EpisodicMemory.remember(rows, space), shots=3
        )
        aligned = judge.with_memory(held)
        some = texts[1000:1200]
        found = each(lambda i: judge(outputs=f"{some[i]} (plain)"), 200, "plain", warm=20)
        found |= each(lambda i: aligned(outputs=f"{some[i]} (new)"), 180, "aligned_new", warm=20)
        # The same texts again, to another instruction: the call is bought, the embedding is not.
        other = judge.with_memory(None)
        other.predict.signature = judge.predict.signature.with_instructions("Is {{ outputs }} kind?")
        again = other.with_memory(held)
        found |= each(lambda i: again(outputs=f"{some[i]} (new)"), 180, "aligned_seen", warm=20)
        vectors = space.embed([{"outputs": f"{text} (new)"} for text in some])
        found |= each(lambda i: held.recall(vectors[i]), 180, "retrieval", warm=20)
        asked = [f"{text} (embedded)" for text in some]
        found |= each(lambda i: space.embed([{"outputs": asked[i]}]), 180, "embedding", warm=0)
        calls: list[int] = []
        inner = embedder.inner.embed
        embedder.inner.embed = lambda texts: (calls.append(len(texts)), inner(texts))[1]
        space.embed([{"outputs": text} for text in asked[:100] * 3])
        space.embed([{"outputs": "one text that is new"}] * 50)
        found["texts_embedded_of_350_with_1_new"] = sum(calls)
    return found


def main() -> None:
    arm, home, n = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    arms = {
        "build": build, "query": query, "change": change, "dspy": dspy_embeddings, "hnsw": hnsw,
        "overhead": overhead,
    }  # fmt: skip
    print("RESULT " + json.dumps(arms[arm](home, n)))


def results(out: str) -> Iterator[dict[str, Any]]:
    for line in out.splitlines():
        if line.startswith("RESULT "):
            yield json.loads(line.removeprefix("RESULT "))


if __name__ == "__main__":
    main()
