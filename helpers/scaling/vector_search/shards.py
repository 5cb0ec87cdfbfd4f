"""One index over several processes: each searches its part, and the answers are merged."""

import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from .indexes import Found, Index

_loaded = {}  # in a worker: the shards that it has read


def _search(folder, queries, k, dial):
    import faiss

    faiss.omp_set_num_threads(1)
    if folder not in _loaded:
        _loaded[folder] = Index.load(folder, mmap=True)
    index = _loaded[folder]
    return index.search(queries, min(k, len(index)), dial)


class Shards:
    """Vectors split over `count` processes, each with an index of its own part. Use it in a `with` statement.

    vectors: float (n, d), split in order, so that ids stay positions in it. settings: see `Index`.
    """

    def __init__(self, vectors, count=2, kind="Flat", **settings):
        if not 1 <= count <= len(vectors):
            raise ValueError(f"count must be from 1 to {len(vectors)}, the vectors to split; got {count}")
        self._folder = tempfile.TemporaryDirectory()
        self._larger_is_better = settings.get("metric", "l2") != "l2"
        self._total = len(vectors)
        parts, self._paths = np.array_split(np.asarray(vectors), count), []
        self._starts = np.cumsum([0, *map(len, parts[:-1])])
        for number, part in enumerate(parts):
            self._paths.append(str(Path(self._folder.name) / str(number)))
            Index.build(kind, part, **settings).save(self._paths[-1])
        self._pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"))

    def search(self, queries, k=10, dial=None):
        """The k nearest of all shards: a `Found`. Each shard returns its k best, so none can be missed."""
        if not 1 <= k <= self._total:
            raise ValueError(f"k must be from 1 to {self._total}, the vectors in all shards; got {k}")
        asked = [self._pool.submit(_search, path, queries, k, dial) for path in self._paths]
        return merge([each.result() for each in asked], self._starts, k, self._larger_is_better)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._pool.shutdown()
        self._folder.cleanup()


def merge(parts, starts, k, larger_is_better=False):
    """The k best of several `Found`. starts: the first id of each part."""
    ids = np.concatenate([np.where(p.ids >= 0, p.ids + first, -1) for p, first in zip(parts, starts, strict=True)], 1)
    scores = np.concatenate([part.scores for part in parts], axis=1)
    order = np.argsort(-scores if larger_is_better else scores, axis=1, kind="stable")[:, :k]
    return Found(np.take_along_axis(ids, order, axis=1), np.take_along_axis(scores, order, axis=1))
