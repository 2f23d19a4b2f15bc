"""Which rows may be near a query: faiss, behind one small interface.

An index only proposes rows. Similarities are computed anew from the rows' own vectors (see `retrieval`), so an
index can be approximate without any number depending on it, and it can be thrown away and built again.

    exact         every row is looked at; up to `EXACT_ROWS`
    approximate   rows are filed by the nearest of about 4 sqrt(n) centres, one byte a coordinate, and the
                  lists of the nearest centres are looked at (faiss: IVF, SQ8)

Why not HNSW: it has no removal, so that what is taken away has to be carried along until everything is built
again, and its graph depends on the order in which rows came. Lists of rows take and lose single rows, and
depend on the set of rows only. Both are measured in benchmarks/memory.
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from judge_opt.memory.vectors import Vectors

Keys = npt.NDArray[np.int64]
logger = logging.getLogger(__name__)
EXACT_ROWS = 20_000
_MOST_LISTS = 4096
_PROBES = 40
"""Lists that a search looks at: a recall of at least .95 at any size (benchmarks/memory)."""
_POINTS = 64
"""Rows a centre to learn it from."""
_ROUNDS = 8
"""Rounds of k-means."""
_SEED = 1


class VectorIndex(Protocol):
    """Rows by key, found by what they are like."""

    def __len__(self) -> int: ...

    def add(self, keys: Keys, vectors: Vectors) -> None:
        """Keys that are not there yet, with vectors of shape (n, d)."""
        ...

    def remove(self, keys: Keys) -> None:
        """Keys that are not there are passed over."""
        ...

    def search(self, query: Vectors, n: int, without: Keys) -> Keys:
        """Keys of about the `n` nearest rows, those in `without` left out, in any order.

        Args:
            query: shape (d,).
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Its kind and settings, JSON values."""
        ...

    def write(self, path: Path) -> dict[str, Any]:
        """Write it to a file.

        Returns:
            its description, which `read_index` wants beside the file.
        """
        ...


class ExactIndex:
    """Every row is looked at.

    Args:
        dimension: of the vectors.
    """

    def __init__(self, dimension: int) -> None:
        faiss = _faiss()
        self._index: Any = faiss.IndexIDMap2(faiss.IndexFlatIP(dimension))

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, keys: Keys, vectors: Vectors) -> None:
        if len(keys):
            self._index.add_with_ids(np.ascontiguousarray(vectors, dtype=np.float32), keys)

    def remove(self, keys: Keys) -> None:
        if len(keys):
            self._index.remove_ids(np.ascontiguousarray(keys, dtype=np.int64))

    def search(self, query: Vectors, n: int, without: Keys) -> Keys:
        faiss = _faiss()
        return _found(self._index, query, n, faiss.SearchParameters(sel=_all_but(without)))

    def describe(self) -> dict[str, Any]:
        return {"kind": "exact", "rows": len(self)}

    def write(self, path: Path) -> dict[str, Any]:
        return _write(self._index, path, self.describe())

    @classmethod
    def read(cls, path: Path, described: Mapping[str, Any]) -> "ExactIndex":
        made = cls.__new__(cls)
        made._index = _read(path, described)
        return made


class ApproximateIndex:
    """Rows filed by the nearest of some centres, one byte a coordinate.

    The centres come from k-means with a fixed seed on a sample that depends on the set of rows, so the same
    rows give the same index, on the same machine and release of faiss, whatever the order they came in.

    Args:
        sample: vectors to learn the centres from, shape (m, d).
        lists: number of centres.
        rows: the index is made for; see `wants_rebuilding`.
    """

    def __init__(self, sample: Vectors, lists: int, rows: int) -> None:
        faiss = _faiss()
        dimension = sample.shape[1]
        index = faiss.IndexIVFScalarQuantizer(
            faiss.IndexFlatIP(dimension),
            dimension,
            lists,
            faiss.ScalarQuantizer.QT_8bit,
            faiss.METRIC_INNER_PRODUCT,
        )
        index.cp.seed = _SEED
        index.cp.niter = _ROUNDS
        index.cp.max_points_per_centroid = _POINTS
        with _threads(_builders(len(sample))):
            index.train(np.ascontiguousarray(sample, dtype=np.float32))
        index.set_direct_map_type(faiss.DirectMap.Hashtable)
        self._index: Any = index
        self._made_for = rows

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, keys: Keys, vectors: Vectors) -> None:
        if len(keys):
            with _threads(_builders(len(keys))):
                self._index.add_with_ids(np.ascontiguousarray(vectors, dtype=np.float32), keys)

    def remove(self, keys: Keys) -> None:
        if len(keys):
            self._index.remove_ids(np.ascontiguousarray(keys, dtype=np.int64))

    def search(self, query: Vectors, n: int, without: Keys) -> Keys:
        faiss = _faiss()
        parameters = faiss.SearchParametersIVF(sel=_all_but(without), nprobe=self.probes)
        return _found(self._index, query, n, parameters)

    @property
    def probes(self) -> int:
        """Lists that a search looks at."""
        return min(_PROBES, int(self._index.nlist))

    def describe(self) -> dict[str, Any]:
        return {
            "kind": "approximate",
            "rows": len(self),
            "lists": int(self._index.nlist),
            "probes": self.probes,
            "made_for": self._made_for,
        }

    def write(self, path: Path) -> dict[str, Any]:
        return _write(self._index, path, self.describe())

    @classmethod
    def read(cls, path: Path, described: Mapping[str, Any]) -> "ApproximateIndex":
        made = cls.__new__(cls)
        made._index = _read(path, described)
        made._made_for = int(described["made_for"])
        return made


def build_index(
    dimension: int,
    rows: int,
    sample: Callable[[int], Vectors],
    blocks: Iterable[tuple[Keys, Vectors]],
) -> VectorIndex:
    """The index that suits so many rows, filled.

    Args:
        sample: gives that many vectors, which depend on the set of rows only.
        blocks: all keys and vectors.
    """
    index: VectorIndex
    if rows <= EXACT_ROWS:
        index = ExactIndex(dimension)
    else:
        lists = min(_MOST_LISTS, 4 * int(rows**0.5))
        logger.info("learning %d centres for %d examples", lists, rows)
        index = ApproximateIndex(sample(min(rows, lists * _POINTS)), lists, rows)
    told = 0
    for keys, vectors in blocks:
        index.add(keys, vectors)
        if len(index) - told >= 100_000:
            told = len(index)
            logger.info("%d of %d examples are filed", told, rows)
    return index


def wants_rebuilding(index: VectorIndex) -> bool:
    """True where the number of rows has left what the index was made for by a factor, so that building it
    again costs little for each row that came or went."""
    described = index.describe()
    rows = described["rows"]
    if described["kind"] == "exact":
        return bool(rows > 2 * EXACT_ROWS)
    return bool(rows > 4 * described["made_for"] or rows < EXACT_ROWS // 2)


def read_index(path: Path, described: Mapping[str, Any]) -> VectorIndex:
    """What `VectorIndex.write` wrote. Compare the file's hash first: faiss does not notice damage."""
    if described["kind"] == "exact":
        return ExactIndex.read(path, described)
    return ApproximateIndex.read(path, described)


def _write(index: Any, path: Path, described: dict[str, Any]) -> dict[str, Any]:
    faiss = _faiss()
    faiss.write_index(index, str(path))
    return described


def _read(path: Path, described: Mapping[str, Any]) -> Any:
    faiss = _faiss()
    index = faiss.read_index(str(path))
    if int(index.ntotal) != described["rows"]:
        raise ValueError(f"holds {index.ntotal} rows, not {described['rows']}")
    return index


def _builders(rows: int) -> int:
    """Threads for filing so many rows: where there are few, starting threads takes longer than the work."""
    return (os.cpu_count() or 1) if rows >= 5_000 else 1


def _faiss() -> Any:
    """Imported when it is first used; its stubs know less than it can do."""
    import faiss

    return faiss


@contextmanager
def _threads(n: int) -> Iterator[None]:
    """faiss's threads in the calling thread. What is found does not depend on their number."""
    faiss = _faiss()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(n)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _all_but(keys: Keys) -> Any:
    """A faiss selector, or None where nothing is left out."""
    if not len(keys):
        return None
    faiss = _faiss()
    return faiss.IDSelectorNot(faiss.IDSelectorBatch(keys))


def _found(index: Any, query: Vectors, n: int, parameters: Any) -> Keys:
    n = min(n, int(index.ntotal))
    if n < 1:
        return np.zeros(0, dtype=np.int64)
    rows = np.ascontiguousarray(query, dtype=np.float32)[None, :]
    with _threads(1):  # more of them wait for each other longer than one works
        _, keys = index.search(rows, n, params=parameters)
    found: Keys = keys[0][keys[0] >= 0]
    return found
