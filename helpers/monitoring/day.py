"""A day in the life of the assistant's search, replayed from real questions, with an incident in the afternoon.

The questions, the encoder, the index, the cache and the seconds are real. Which question comes
when is drawn: popular ones come often, as in most services.
"""

import time
from functools import lru_cache

import numpy as np
from scipy import stats
from tqdm.auto import tqdm

from .. import baseline
from ..assistant import models
from ..course.results import recorded
from .drift import LESSON, WINDOW, load_traffic, mmd_test

HOURS = 24
INCIDENT = 14  # the hour in which it begins
THRESHOLD = 0.3  # cosine below which a document is not shown: the guide's
NEW_SHARE = 0.5  # of the requests, once questions about the newcomer flood in
PER_REQUEST = ("milliseconds", "hit", "no answer")
SCENARIOS = ("nothing", "new library", "old cache", "lost documents")


class Search:
    """Dense search over some of the library's documents, with a cache of the questions' vectors.

    rows: positions of the documents indexed. cache: {text: vector}, shared with whoever holds it.
    """

    def __init__(self, rows, cache):
        import faiss

        library = baseline.library()
        self.pieces = np.flatnonzero(np.isin(library.parents, rows))
        self.parents, self.cache = library.parents, cache
        self.index = faiss.IndexFlatIP(library.vectors.shape[1])
        self.index.add(library.vectors[self.pieces])

    def ask(self, text):
        """(best cosine, positions of the ten best documents, was the vector in the cache?, the vector)."""
        vector = self.cache.get(text)
        hit = vector is not None
        if not hit:
            vector = self.cache[text] = models.embed([text], keep=False)[0]
        scores, documents = self.nearest(vector[None])
        return scores[0], documents[0], hit, vector

    def nearest(self, vectors, k=10):
        """Best cosine (questions,) and the `k` best documents (questions, k) for vectors."""
        scores, pieces = self.index.search(np.ascontiguousarray(vectors), 3 * k)
        parents = self.parents[self.pieces[pieces]]
        documents = [list(dict.fromkeys(row))[:k] for row in parents.tolist()]
        return scores[:, 0], np.array([row + [-1] * (k - len(row)) for row in documents])


@lru_cache(maxsize=1)
def old_vectors():
    """The traffic's texts as last month's encoder saw them: latent semantic analysis, as many dimensions as MiniLM has.

    Unit vectors, float32 (texts, 384). Source: Deerwester et al. 1990, Indexing by Latent Semantic Analysis.
    """
    from sklearn.decomposition import TruncatedSVD

    vectorizer, matrix = baseline.library().lexical_index
    reduced = TruncatedSVD(384, random_state=0).fit(matrix).transform(vectorizer.transform(load_traffic().texts))
    return (reduced / np.maximum(np.linalg.norm(reduced, axis=1, keepdims=True), 1e-9)).astype(np.float32)


def replay(scenario, hours=range(HOURS), seed=0):
    """Serve the requests of some hours, one by one. Returns {signal: list, one number an hour}.

    scenario: one of `SCENARIOS`; it begins in hour `INCIDENT`. hours: follow each other and begin before
    it; what was asked earlier that day is in the cache already.

    top score, empty: mean best cosine, and share of requests of which it is below `THRESHOLD`.
    cache hits, empty of hits, empty of misses: shares. golden recall: recall@10 of 100 fixed questions,
    asked by a job that goes around the cache. drift: MMD's p-value between the vectors
    served and yesterday's; drift of the texts: the same after encoding the texts anew. found:
    recall@10 of the requests themselves, which nobody knows on the day. `PER_REQUEST`: lists of every request's.
    """
    if scenario not in SCENARIOS:
        raise ValueError(f"scenario must be one of {', '.join(SCENARIOS)}; got {scenario!r}")
    if not 0 <= hours[0] <= INCIDENT:
        raise ValueError(f"hours must begin between 0 and {INCIDENT}, before the incident; got {hours[0]}")
    traffic, rng = load_traffic(), np.random.default_rng(seed)
    popular = rng.permutation(traffic.known)
    weight = 1 / np.arange(1, len(popular) + 1) ** 0.8
    golden = rng.choice(popular, 100, replace=False)
    yesterday = rng.choice(popular, HOURS * WINDOW, p=weight / weight.sum())
    cache = {traffic.texts[row]: traffic.vectors[row] for row in yesterday}
    reference = traffic.vectors[yesterday[:WINDOW]]
    libraries = np.array([document.library for document in baseline.library().documents])
    search = Search(np.flatnonzero(libraries != "torch"), cache)
    signals = {}

    def asked(hour):
        draw = np.random.default_rng([seed, hour])
        return draw, draw.choice(popular, WINDOW, p=weight / weight.sum())

    for hour in range(hours[0]):
        cache.update((traffic.texts[row], traffic.vectors[row]) for row in asked(hour)[1])
    for hour in tqdm(hours, scenario, leave=False):
        draw, rows = asked(hour)
        if hour >= INCIDENT and scenario == "new library":
            new = draw.random(WINDOW) < NEW_SHARE
            rows[new] = draw.choice(traffic.new, new.sum(), replace=False)
        if hour == INCIDENT and scenario == "old cache":  # half of it restored from what an older encoder wrote
            old = old_vectors()
            cache.update((traffic.texts[row], old[row]) for row in np.unique(yesterday)[::2])
        if hour == INCIDENT and scenario == "lost documents":  # the index was rebuilt, and one library was not there
            search = Search(np.flatnonzero(~np.isin(libraries, ("torch", "pandas"))), cache)
        served = _serve(search, traffic, rows)
        served["golden recall"] = _recall(search.nearest(traffic.vectors[golden])[1], traffic.right[golden])
        served["drift"] = mmd_test(reference, served.pop("vectors"), seed=hour)[1]
        served["drift of the texts"] = mmd_test(reference, traffic.vectors[rows], seed=hour)[1]
        for name, value in served.items():
            signals.setdefault(name, []).append(value)
    return signals


def _serve(search, traffic, rows):
    answers, milliseconds = [], []
    for row in rows:
        start = time.perf_counter()
        answers.append(search.ask(traffic.texts[row]))
        milliseconds.append(round(1000 * (time.perf_counter() - start), 3))
    top, documents, hit, vectors = (np.array(column) for column in zip(*answers, strict=True))
    empty = top < THRESHOLD
    return {
        "top score": float(top.mean()),
        "empty": float(empty.mean()),
        "cache hits": float(hit.mean()),
        "empty of hits": float(empty[hit].mean()) if hit.any() else 0.0,
        "empty of misses": float(empty[~hit].mean()) if (~hit).any() else 0.0,
        "found": _recall(documents, traffic.right[rows]),
        "milliseconds": milliseconds,
        "hit": hit.tolist(),
        "no answer": empty.tolist(),
        "vectors": vectors,
    }


def _recall(documents, right):
    return float((documents == right[:, None]).any(axis=1).mean())


@recorded(LESSON, depends_on=[Search, replay, _serve, old_vectors, load_traffic, mmd_test])
def day(*, scenarios=SCENARIOS, seed=0):
    """A whole day of every scenario: {scenario: what `replay` returns}."""
    found = {}
    for scenario in scenarios:
        signals = replay(scenario, seed=seed)
        milliseconds, *_ = (signals.pop(name) for name in PER_REQUEST)
        found[scenario] = {name: [round(value, 4) for value in values] for name, values in signals.items()}
        for share in (50, 95, 99):
            found[scenario][f"p{share}"] = [round(float(np.percentile(hour, share)), 3) for hour in milliseconds]
        if scenario == "nothing":
            found[scenario]["milliseconds"] = [value for hour in milliseconds for value in hour]
    return found


def ringing(signals, empties, misses, level=0.001, checks=720):
    """In how many hours since the incident each alarm rings: {alarm: int}.

    signals: one scenario of `day`. empties, misses: `serving.RateAlert` for empty results and for
    requests that miss the cache. The mean best cosine rings below what Student's t predicts from the
    hours before, once in `checks`. The golden set rings when its recall, on always the same questions,
    is below that of the day's first hour; drift at a p-value of `level` or less.
    """
    late = {name: np.array(values)[INCIDENT:] for name, values in signals.items() if len(values) == HOURS}
    before = np.array(signals["top score"][:INCIDENT])
    margin = stats.t.ppf(1 - 1 / checks, INCIDENT - 1) * before.std(ddof=1) * np.sqrt(1 + 1 / INCIDENT)
    return {
        "mean best cosine": int((late["top score"] < before.mean() - margin).sum()),
        "empty results": int(empties.rings(np.rint(late["empty"] * WINDOW)).sum()),
        "cache misses": int(misses.rings(np.rint((1 - late["cache hits"]) * WINDOW)).sum()),
        "golden set": int((late["golden recall"] < signals["golden recall"][0]).sum()),
        "drift: vectors": int((late["drift"] <= level).sum()),
        "drift: texts": int((late["drift of the texts"] <= level).sum()),
    }


def normal_empty_rate(seed=0):
    """Share of requests with no document above `THRESHOLD` when nothing is wrong: exact, not drawn."""
    traffic, rng = load_traffic(), np.random.default_rng(seed)
    popular = rng.permutation(traffic.known)
    weight = 1 / np.arange(1, len(popular) + 1) ** 0.8
    return float(np.average(traffic.top_scores[popular] < THRESHOLD, weights=weight))
