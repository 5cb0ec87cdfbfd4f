"""Exact and approximate indexes behind one interface: `Index`, and the graph of an HNSW index to walk by hand."""

import json
import math
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import faiss
import numpy as np
from tqdm.auto import tqdm

KINDS = ("Flat", "IVF", "HNSW", "PQ", "IVFPQ")
METRICS = ("l2", "inner product", "cosine")
DIALS = {"Flat": None, "IVF": "nprobe", "HNSW": "ef_search", "PQ": "rerank", "IVFPQ": "nprobe"}
BLOCK = 20_000  # vectors added between two steps of the progress bar


@dataclass(frozen=True)
class Found:
    """What a search returns, best first; -1 fills up where fewer vectors were found.

    ids: int array (queries, k), positions in the order of adding. scores: float32 array of that
    shape: *squared* distances for l2, where smaller is better; otherwise inner products or
    cosines, where larger is better.
    """

    ids: np.ndarray
    scores: np.ndarray


class Index:
    """Vectors to search: exact (Flat), by lists (IVF), by a graph (HNSW), by short codes (PQ, IVFPQ).

    kind: one of `KINDS`. metric: one of `METRICS`; "cosine" normalises what comes in. nlist:
    lists of IVF and IVFPQ, by default 6·√n; the nearest lists are found by an HNSW graph over
    their centres. m, ef_construction: links a node, and candidates looked at for each new one,
    of HNSW. code_bytes: bytes of a PQ code. rerank: how many candidates for each of k results
    PQ and IVFPQ compare again, exactly.
    Source: Douze et al. 2024, The Faiss library; Malkov & Yashunin 2018, HNSW; Jégou, Douze &
    Schmid 2011, Product quantization for nearest neighbor search.
    """

    def __init__(self, kind, dimensions=384, metric="l2", nlist=None, m=32, ef_construction=100, code_bytes=48,
                 rerank=20):  # fmt: skip
        _one_of("kind", kind, KINDS)
        _one_of("metric", metric, METRICS)
        if code_bytes < 1 or dimensions % code_bytes:
            raise ValueError(f"code_bytes must divide the {dimensions} dimensions, got {code_bytes}")
        for name, value in (("nlist", nlist), ("m", m), ("ef_construction", ef_construction), ("rerank", rerank)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.kind, self.dimensions, self.metric, self.nlist = kind, dimensions, metric, nlist
        self.m, self.ef_construction, self.code_bytes, self.rerank = m, ef_construction, code_bytes, rerank
        self.build_seconds = 0.0  # of the processor, for training and adding
        self.removed = np.zeros(0, bool)
        self._last = None, None  # setting and parameters of the search before: making them takes longer than small ones
        self.faiss = self._empty() if kind in ("Flat", "HNSW", "PQ") else None  # the others need nlist first

    @classmethod
    def build(cls, kind, vectors, progress=False, **settings):
        """Train where the kind needs it, and add all vectors: float (n, dimensions)."""
        vectors = _matrix("vectors", vectors)
        index = cls(kind, vectors.shape[1], **settings)
        index.train(vectors)
        for start in tqdm(range(0, len(vectors), BLOCK), f"{kind}, adding", disable=not progress, leave=False):
            index.add(vectors[start : start + BLOCK])
        return index

    def __len__(self):
        return 0 if self.faiss is None else self.faiss.ntotal

    @property
    def is_trained(self):
        return self.faiss is not None and self.faiss.is_trained

    @property
    def dial(self):
        """What trades recall for time in `search`: "nprobe", "ef_search" or "rerank"; None for Flat."""
        return DIALS[self.kind]

    def train(self, vectors):
        """Learn the lists of IVF and the codes of PQ from these vectors. Flat and HNSW learn nothing."""
        vectors, start = self._checked("vectors", vectors), time.process_time()
        if self.faiss is None:
            self.nlist = self.nlist or max(1, round(6 * math.sqrt(len(vectors))))
            if self.nlist > len(vectors):
                raise ValueError(f"nlist is {self.nlist} and there are {len(vectors)} vectors: a list needs at least 1")
            self.faiss = self._empty()
        if "PQ" in self.kind and len(vectors) < 256:
            raise ValueError(f"vectors must be at least 256 to train {self.kind}, its codes have 256 values; "
                             f"got {len(vectors)}")  # fmt: skip
        self.faiss.train(vectors)
        self.build_seconds += time.process_time() - start

    def add(self, vectors):
        """Add vectors; returns their ids, which go on from those before."""
        if not self.is_trained:
            raise ValueError(f"this {self.kind} index is untrained: call train(vectors) before add()")
        vectors, first = self._checked("vectors", vectors), len(self)
        start = time.process_time()
        self.faiss.add(vectors)
        self.build_seconds += time.process_time() - start
        self.removed = np.append(self.removed, np.zeros(len(vectors), bool))
        return np.arange(first, len(self))

    def remove(self, ids):
        """Mark vectors as deleted: no search returns them again. Their memory is freed by building anew."""
        ids = np.atleast_1d(ids)
        if len(ids) and (ids.min() < 0 or ids.max() >= len(self)):
            raise ValueError(f"ids must be from 0 to {len(self) - 1}, got {ids.min()} to {ids.max()}")
        self.removed[ids] = True

    def search(self, queries, k=10, dial=None, allowed=None):
        """The k nearest vectors of each query: a `Found`.

        queries: float (queries, dimensions). dial: nprobe, ef_search or rerank of this search;
        more is slower and finds more. allowed: bool (n,), which vectors may be found; all if left out.
        Raises ValueError for an untrained or empty index, another shape, NaN, and k outside 1 to n.
        """
        if not self.is_trained:
            raise ValueError(f"this {self.kind} index is untrained: call train(vectors), then add(vectors)")
        if not len(self):
            raise ValueError("this index is empty: add(vectors) before searching")
        queries = self._checked("queries", queries)
        if not 1 <= k <= len(self):
            raise ValueError(f"k must be from 1 to {len(self)}, the vectors in this index; got {k}")
        if dial is not None and dial < 1:
            raise ValueError(f"dial ({self.dial}) must be at least 1, got {dial}")
        selector, setting = self._selector(allowed), (dial, self.rerank)
        if selector is not None:
            parameters = self._parameters(dial, selector)
        elif setting == self._last[0]:
            parameters = self._last[1]
        else:
            parameters = self._parameters(dial, None)
            self._last = setting, parameters
        scores, ids = self.faiss.search(queries, k, params=parameters)
        return Found(ids, scores)

    def _selector(self, allowed):
        if allowed is None and not self.removed.any():
            return None
        if allowed is None:
            allowed = np.ones(len(self), bool)
        elif np.shape(allowed) != (len(self),) or np.asarray(allowed).dtype != bool:
            raise ValueError(f"allowed must be a bool for each of {len(self)} vectors, got shape {np.shape(allowed)}")
        return faiss.IDSelectorBitmap(np.packbits(allowed & ~self.removed, bitorder="little"))

    def _parameters(self, dial, selector):
        if self.kind == "Flat":
            return faiss.SearchParameters(sel=selector) if selector else None
        chosen = {} if selector is None else {"sel": selector}
        if self.kind == "HNSW":
            return faiss.SearchParametersHNSW(efSearch=dial or 16, **chosen)
        if self.kind == "PQ":
            lists = faiss.SearchParametersIVF(nprobe=1, **chosen)
        else:
            nprobe = min(dial or 1, self.nlist)
            centres = faiss.SearchParametersHNSW(efSearch=max(128, 2 * nprobe))
            lists = faiss.SearchParametersIVF(nprobe=nprobe, quantizer_params=centres, **chosen)
            if self.kind == "IVF":
                return lists
        rerank = dial if self.kind == "PQ" and dial else self.rerank
        return faiss.IndexRefineSearchParameters(k_factor=rerank, base_index_params=lists)

    def _empty(self):
        measure = faiss.METRIC_L2 if self.metric == "l2" else faiss.METRIC_INNER_PRODUCT
        if self.kind == "Flat":
            return faiss.IndexFlat(self.dimensions, measure)
        if self.kind == "HNSW":
            index = faiss.IndexHNSWFlat(self.dimensions, self.m, measure)
            index.hnsw.efConstruction = self.ef_construction
            return index
        if self.kind == "PQ":  # as one list, since FAISS's own IndexPQ knows no filter
            lists = faiss.IndexFlat(self.dimensions, measure)
            index = faiss.IndexIVFPQ(lists, self.dimensions, 1, self.code_bytes, 8, measure)
            index.by_residual = False
        else:
            centres = faiss.IndexHNSWFlat(self.dimensions, 32, measure)
            centres.hnsw.efConstruction, centres.hnsw.efSearch = 200, 64  # the latter for adding
            settings = (centres, self.dimensions, self.nlist)
            if self.kind == "IVF":
                index = faiss.IndexIVFFlat(*settings, measure)
            else:
                index = faiss.IndexIVFPQ(*settings, self.code_bytes, 8, measure)
            index.quantizer_trains_alone = chr(2)  # k-means by exact search, then the graph over its centres
        for learner in ([index.cp] if "IVF" in self.kind else []) + ([index.pq.cp] if "PQ" in self.kind else []):
            learner.niter, learner.min_points_per_centroid, learner.max_points_per_centroid = 10, 1, 40
        return faiss.IndexRefineFlat(index) if "PQ" in self.kind else index

    @property
    def nbytes(self):
        """Bytes that a search reads from: vectors or codes, links and lists; without `reranking_bytes`."""
        n, vector = len(self), 4 * self.dimensions
        lists = self.nlist * vector + 8 * n if "IVF" in self.kind else 0
        if "PQ" in self.kind:
            return n * self.code_bytes + 256 * vector + lists
        links = 0
        if self.kind == "HNSW":
            graph = self.faiss.hnsw
            links = 4 * graph.neighbors.size() + 8 * graph.offsets.size() + 4 * graph.levels.size()
        return n * vector + lists + links

    @property
    def reranking_bytes(self):
        """Bytes of the vectors that PQ and IVFPQ read only to re-rank: they may stay on disk."""
        return 4 * self.dimensions * len(self) if "PQ" in self.kind else 0

    def save(self, folder):
        """Write the index into a folder: FAISS's own file, whose bytes are returned, and the settings as JSON."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        faiss.write_index(self.faiss, str(folder / "index.faiss"))
        names = ("kind", "dimensions", "metric", "nlist", "m", "ef_construction", "code_bytes", "rerank")
        about = {name: getattr(self, name) for name in names}
        about |= {"build_seconds": self.build_seconds, "removed": np.flatnonzero(self.removed).tolist()}
        (folder / "index.json").write_text(json.dumps(about))
        return (folder / "index.faiss").stat().st_size

    @classmethod
    def load(cls, folder, mmap=False):
        """Read an index that `save` wrote. mmap: leave the vectors on disk, and read what a search touches."""
        folder = Path(folder)
        if not (folder / "index.json").is_file():
            raise FileNotFoundError(f"{folder} holds no index that was saved with Index.save")
        about = json.loads((folder / "index.json").read_text())
        removed, seconds = about.pop("removed"), about.pop("build_seconds")
        index = cls(**about)
        index.faiss = faiss.read_index(str(folder / "index.faiss"), faiss.IO_FLAG_MMAP_IFC if mmap else 0)
        index.build_seconds, index.removed = seconds, np.zeros(len(index), bool)
        index.remove(np.array(removed, int))
        return index

    def _checked(self, name, vectors):
        vectors = _matrix(name, vectors)
        if vectors.shape[1] != self.dimensions:
            raise ValueError(f"{name} have {vectors.shape[1]} dimensions and this index has {self.dimensions}")
        if self.metric == "cosine":
            length = np.linalg.norm(vectors, axis=1, keepdims=True)
            if not length.all():
                raise ValueError(f"{name} {int(np.argmin(length))} is all zeros: it has no direction, and so no cosine")
            vectors = vectors / length
        return vectors


class Graph:
    """The links of an HNSW index, as Python reads them.

    entry: the node where a search starts. top: its level; level 0 has all nodes.
    """

    def __init__(self, index):
        if index.kind != "HNSW":
            raise ValueError(f"only an HNSW index is a graph, got {index.kind}")
        self._hnsw = index.faiss.hnsw
        self.entry, self.top = self._hnsw.entry_point, self._hnsw.max_level

    @cached_property
    def _arrays(self):
        return tuple(faiss.vector_to_array(getattr(self._hnsw, name)) for name in ("neighbors", "offsets"))

    def neighbours(self, node, level=0):
        """Nodes that a node is linked to on a level: a list."""
        neighbours, offsets = self._arrays
        first, last = (int(offsets[node]) + self._hnsw.cum_nb_neighbors(above) for above in (level, level + 1))
        return [int(other) for other in neighbours[first:last] if other >= 0]


def _matrix(name, vectors):
    vectors = np.asarray(vectors)
    if vectors.ndim != 2:
        hint = f": write {name}[None] for a single one" if vectors.ndim == 1 else ""
        raise ValueError(f"{name} must have two dimensions (how many, coordinates), got shape {vectors.shape}{hint}")
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    finite = np.isfinite(vectors)
    if not finite.all():
        raise ValueError(f"{name} {int(np.argmin(finite.all(axis=1)))} contains NaN or infinity: nothing is near that")
    return vectors


def _one_of(name, value, known):
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}; got {value!r}")
