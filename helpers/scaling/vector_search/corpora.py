"""What is searched: the real documents' vectors, real sentences as queries, and larger sets made from them."""

import os
import shutil
import tempfile
import warnings
import zlib
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import faiss
import numpy as np
from tqdm.auto import tqdm

from ... import baseline
from ...assistant import cache, corpus, models
from .indexes import Index

BLOCK = 50_000  # vectors made at once


@dataclass(frozen=True)
class Recipe:
    """How a new vector is made from a real one: a step towards one of its neighbours, plus noise.

    new = a + step·(b − a) + noise·(c − d), then scaled to length 1. a: any document; b: one of
    its `neighbours` nearest; step: uniform up to `step`. c, d: another document and one of its
    neighbours, so that the noise points where documents really differ; its share is uniform up to `noise`.
    The values were tuned until a set thinned to the real size had the real set's distances.
    """

    neighbours: int = 10
    step: float = 0.5
    noise: float = 0.85


@lru_cache(maxsize=1)
def real_vectors():
    """The encoder's vectors of all documents, in a fixed random order: float32 (6178, 384), length 1."""
    return baseline.library().vectors[_order()]


def documents_of(ids):
    """Documents, as positions in `baseline.library().documents`, of rows of `real_vectors`: int array; -1 stays."""
    return np.where(np.asarray(ids) < 0, -1, baseline.library().parents[_order()][ids])


@lru_cache(maxsize=1)
def _order():
    return np.random.default_rng(0).permutation(len(baseline.library().vectors))


def enlarged(n, recipe=None, seed=0, progress=False):
    """n vectors: the first n real ones, and behind them, if they are too few, vectors made by the recipe.

    A smaller set is always the beginning of a larger one. Returns float32 (n, 384), length 1.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    real, recipe = real_vectors(), recipe or Recipe()
    made = np.empty((n, real.shape[1]), np.float32)
    made[: len(real)] = real[:n]
    starts = range(len(real), n, BLOCK)
    near = _neighbours(recipe.neighbours) if starts else None
    for block, start in enumerate(tqdm(starts, f"{n:,} vectors", disable=not progress, leave=False)):
        whole = _interpolated(BLOCK, real, near, recipe, np.random.default_rng([seed, block]))
        made[start : start + BLOCK] = whole[: n - start]
    return made


@lru_cache(maxsize=2)
def _neighbours(k):
    real = real_vectors()
    return faiss.knn(real, real, k + 1)[1][:, 1:]


def _interpolated(n, real, near, recipe, rng):
    a, c = rng.integers(0, len(real), (2, n))
    b, d = (near[node, rng.integers(0, near.shape[1], n)] for node in (a, c))
    step, noise = (rng.uniform(0, most, (n, 1)).astype(np.float32) for most in (recipe.step, recipe.noise))
    made = real[a] + step * (real[b] - real[a]) + noise * (real[c] - real[d])
    return made / np.linalg.norm(made, axis=1, keepdims=True)


@dataclass(frozen=True)
class Queries:
    """Sentences to search with. All fields have one entry a query.

    vectors: float32 (queries, 384). groups: the class or module that a sentence is from.
    documents: the position in `baseline.library().documents` of the document it was taken from.
    """

    texts: tuple
    vectors: np.ndarray
    groups: np.ndarray
    documents: np.ndarray

    def __len__(self):
        return len(self.texts)

    def rows(self, chosen):
        """Some of the queries, as `Queries`."""
        texts = tuple(np.array(self.texts, dtype=object)[chosen])
        return Queries(texts, self.vectors[chosen], self.groups[chosen], self.documents[chosen])


@lru_cache(maxsize=1)
def held_out_sentences():
    """A sentence of each docstring that no index contains, names masked, of all objects that no question asks about.

    Returns `Queries`, about 2,100 of them.
    """
    asked = {q.source for split in corpus.SPLITS for q in corpus.load_questions("described", split)}
    rows = {}
    for position, document in enumerate(baseline.library().documents):
        if document.held_out and document.name not in asked:
            rows.setdefault(corpus.masked(document), (position, document.group))
    positions, groups = zip(*rows.values(), strict=True)
    return Queries(tuple(rows), models.embed(list(rows)), np.array(groups), np.array(positions))


def two_halves(most=500, seed=0):
    """Queries to choose settings with, and others to report with; no class or module is in both.

    Returns two `Queries` of at most `most`.
    """
    queries, rng = held_out_sentences(), np.random.default_rng(seed)
    names = rng.permutation(np.unique(queries.groups))
    first = np.isin(queries.groups, names[::2])
    return tuple(queries.rows(rng.permutation(np.flatnonzero(half))[:most]) for half in (first, ~first))


# ---- do the larger sets look like the real one?


def shape(vectors, queries=None, sample=2000, k=20, seed=0):
    """Distances and intrinsic dimension of a set of vectors: a dict.

    Medians, over `sample` of the vectors, of the distance to the nearest and to the tenth other vector; the
    intrinsic dimension by maximum likelihood over k neighbours, and by the two nearest; with queries, float
    (queries, d), the median distances from a query to its nearest and tenth vector.
    Source: Levina & Bickel 2005, with the inverses averaged as MacKay & Ghahramani 2005 propose; Facco et
    al. 2017, Estimating the intrinsic dimension of datasets by a minimal neighborhood information.
    """
    rng = np.random.default_rng(seed)
    chosen = vectors[rng.choice(len(vectors), min(sample, len(vectors)), replace=False)]
    distance = np.sqrt(np.maximum(faiss.knn(chosen, vectors, k + 1)[0][:, 1:], 0))
    distance = distance[distance[:, 0] > 1e-3]  # a copy says nothing about dimension
    found = {
        "nearest document": float(np.median(distance[:, 0])),
        "tenth document": float(np.median(distance[:, 9])),
        "dimension, likelihood": float(1 / np.log(distance[:, -1:] / distance[:, :-1]).mean()),
        "dimension, two nearest": float(1 / np.log(distance[:, 1] / distance[:, 0]).mean()),
    }
    if queries is not None:
        asked = np.sqrt(faiss.knn(queries, vectors, 10)[0])
        found |= {"query to nearest": float(np.median(asked[:, 0])), "query to tenth": float(np.median(asked[:, 9]))}
    return found


def blobs(n, queries, clusters=200, spread=0.35, dimensions=384, seed=0):
    """Gaussian clusters on the sphere, as benchmarks often have: (vectors, queries), both from the same clusters."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((clusters, dimensions))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    made = centres[rng.integers(0, clusters, n + queries)]
    made = made + spread / np.sqrt(dimensions) * rng.standard_normal(made.shape)
    made = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)
    return made[:n], made[n:]


# ---- indexes that take long to build are kept


def kept_index(kind, n, progress=False, **settings):
    """An index over `enlarged(n)`, built once and kept in the cache folder, with its checksum.

    Up to 100,000 vectors one thread builds it, since several link an HNSW graph in another order
    each time; above, all of FAISS's threads do, and recall may differ in the third decimal.
    """
    version = "index 2" if "IVF" in kind else "index 1"  # of how `Index` makes it
    depends_on = [cache.digest(real_vectors()), asdict(Recipe()), n, kind, settings, faiss.__version__, version]
    folder = cache.folder() / "indexes" / f"{kind}-{n}-{cache.digest(depends_on)[:16]}"
    if _is_whole(folder):
        return Index.load(folder)
    vectors, threads = enlarged(n, progress=progress), faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1 if n <= 100_000 else os.cpu_count())
    try:
        index = Index.build(kind, vectors, progress=progress, **settings)
    finally:
        faiss.omp_set_num_threads(threads)
    _keep(index, folder)
    return index


def _keep(index, folder):
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".partial-") as temporary:
            partial = Path(temporary) / "index"  # the folder appears whole or not at all
            index.save(partial)
            (partial / "checksum").write_text(_checksum(partial))
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(partial, folder)
    except (OSError, RuntimeError) as error:  # FAISS raises the latter if it cannot write
        message = f"cannot keep the {index.kind} index in {folder.parent} ({error}); it is built anew each time"
        warnings.warn(message, cache.CacheNotice, stacklevel=3)


def _is_whole(folder):
    try:
        return (folder / "checksum").read_text() == _checksum(folder)
    except OSError:
        return False


def _checksum(folder):
    found = 0
    for name in ("index.faiss", "index.json"):
        with open(folder / name, "rb") as file:
            while piece := file.read(1 << 24):
                found = zlib.crc32(piece, found)
    return str(found)


def warm():
    """Build and keep what the lesson's notebook searches: the queries' vectors, and three indexes of 100,000."""
    held_out_sentences()
    for kind in ("IVF", "HNSW", "IVFPQ"):
        print(f"{kind} over 100,000 vectors", flush=True)
        kept_index(kind, 100_000, progress=True)
