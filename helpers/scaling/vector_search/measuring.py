"""How much an index finds, how long it takes, how that grows, and which index to choose."""

import time
from dataclasses import dataclass

import faiss
import numpy as np
from scipy import stats
from tqdm.auto import tqdm

from ... import evaluation

LADDERS = {  # settings of the dial, from quick to thorough
    "Flat": (None,),
    "IVF": (1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128, 192, 256, 384),
    "HNSW": (16, 32, 64, 96, 128, 192, 256, 384, 512, 640, 768, 1024, 1536, 2048, 3072, 4096),
    "PQ": (1, 2, 5, 10, 20, 40),
    "IVFPQ": (1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128, 192, 256, 384),
}


@dataclass(frozen=True)
class Point:
    """An index at one setting of its dial.

    recall: an `evaluation.Interval` of recall@k against exact search. p50, p99: seconds of one query.
    distances: computed for one query, on average. build_seconds: of the processor. nbytes: in memory.
    """

    kind: str
    dial: int | None
    recall: evaluation.Interval
    p50: float
    p99: float
    distances: float
    build_seconds: float
    nbytes: int

    def __str__(self):
        return self.kind if self.dial is None else f"{self.kind} at {self.dial}"


def neighbour_recall(found, exact):
    """Share of the exact neighbours that were found: float array (queries,).

    found, exact: int arrays (queries, k). Equal distances can swap places, so compare within one precision.
    """
    if np.shape(found) != np.shape(exact):
        raise ValueError(f"found and exact must have one shape, got {np.shape(found)} and {np.shape(exact)}")
    return (np.asarray(found)[:, :, None] == np.asarray(exact)[:, None, :]).any(axis=1).mean(axis=1)


def latencies(index, vectors, k=10, dial=None, repeats=2):
    """Seconds of each query, asked one at a time: float array (queries,).

    Each counts with the faster of `repeats` runs, so a high quantile speaks of slow queries, not of a busy machine.
    """
    seconds = np.full(len(vectors), np.inf)
    for _ in range(repeats):
        for row in range(len(vectors)):
            query = vectors[row : row + 1]
            start = time.perf_counter()
            index.search(query, k, dial)
            seconds[row] = min(seconds[row], time.perf_counter() - start)
    return seconds


def batch_seconds(index, vectors, k=10, dial=None, repeats=2):
    """Seconds of a query if all are asked at once: the faster of `repeats` runs."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        index.search(vectors, k, dial)
        seconds.append(time.perf_counter() - start)
    return min(seconds) / len(vectors)


def distances_per_query(index, vectors, k=10, dial=None):
    """How many distances a search computes for one query, on average, by FAISS's own count."""
    if index.kind == "Flat":
        return float(len(index))
    counters = faiss.cvar.hnsw_stats, faiss.cvar.indexIVF_stats  # IVF has both: its lists are found by a graph
    for counter in counters:
        counter.reset()
    index.search(vectors, k, dial)
    return sum(counter.ndis for counter in counters) / len(vectors)


def point(index, queries, exact, dial=None, timed=None):
    """An index at one setting, on these `Queries`: a `Point`. timed: how many queries are timed; all if left out."""
    k = exact.shape[1]
    if index.kind == "Flat":
        recall = evaluation.Interval(1.0, 1.0, 1.0)
    else:
        found = index.search(queries.vectors, k, dial).ids
        recall = evaluation.mean(neighbour_recall(found, exact), clusters=queries.groups)
    seconds = latencies(index, queries.vectors[:timed], k, dial)
    distances = distances_per_query(index, queries.vectors[:200], k, dial)
    p50, p99 = np.quantile(seconds, [0.5, 0.99])
    return Point(index.kind, dial, recall, float(p50), float(p99), distances, index.build_seconds, index.nbytes)


def curve(index, queries, exact, dials=None, enough=0.98, timed=None, progress=False):
    """Points from quick to thorough, up to the first whose recall's lower end reaches `enough`."""
    points = []
    for dial in tqdm(dials or LADDERS[index.kind], index.kind, disable=not progress, leave=False):
        if index.kind == "IVF" and dial > index.nlist:
            break
        points.append(point(index, queries, exact, dial, timed))
        if points[-1].recall.low >= enough:
            break
    return points


def at_recall(points, target, name):
    """A `Point`'s value, such as "p50", where a curve crosses a recall: between two points on a logarithmic scale.

    points: of one index, from quick to thorough. Raises ValueError if the curve does not reach the target.
    """
    recalls = np.maximum.accumulate([point.recall.estimate for point in points])
    if recalls[-1] < target:
        raise ValueError(f"the curve of {points[-1].kind} ends at a recall of {recalls[-1]:.3f}, below {target}")
    return float(np.exp(np.interp(target, recalls, np.log([getattr(point, name) for point in points]))))


@dataclass(frozen=True)
class Choice:
    """The point that was chosen, and why."""

    point: Point
    reason: str


def choose(points, target=0.95, queries=1_000_000, max_bytes=None):
    """The cheapest point that meets a recall target: a `Choice`.

    Cheapest: the least time to build once and answer `queries` single queries. A point meets the
    target if the lower end of its recall's interval does, and fits if its bytes do.
    Raises ValueError, naming the nearest miss, if none does.
    """
    if not points:
        raise ValueError("points is empty: there is nothing to choose from")
    fitting = [p for p in points if max_bytes is None or p.nbytes <= max_bytes]
    if not fitting:
        least = min(points, key=lambda p: p.nbytes)
        raise ValueError(f"max_bytes is {max_bytes:,}, and the smallest index, {least}, needs {least.nbytes:,}")
    able = [p for p in fitting if p.recall.low >= target]
    if not able:
        best = max(fitting, key=lambda p: p.recall.low)
        raise ValueError(f"no point's recall reaches {target} at the lower end; the best, {best}, has {best.recall}: "
                         "turn its dial up, or lower the target")  # fmt: skip

    def cost(p):
        return p.build_seconds + queries * p.p50

    chosen, *others = sorted(able, key=cost)
    other = next((p for p in others if p.kind != chosen.kind), None)
    than = f"; {other} would take {cost(other) / cost(chosen):.1f} times as long" if other else "; no other kind does"
    reason = f"{chosen}: its recall of {chosen.recall} meets {target}, and building plus {queries:,} queries cost least"
    return Choice(chosen, reason + than)


def reading_seconds(array):
    """Seconds that one thread needs to read an array once, in order: best of five passes."""
    flat, seconds = array.reshape(-1), []
    for _ in range(5):
        start = time.perf_counter()
        np.dot(flat, flat)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def slope(n, values, level=0.95):
    """Exponent b of values ∝ n^b, by least squares on logarithms, with Student's t interval: an `Interval`.

    1: in proportion to n. 0.5: like √n. Close to 0: like log n.
    """
    if len(n) < 3:
        raise ValueError(f"n must have at least 3 sizes to fit a slope, got {len(n)}")
    fit = stats.linregress(np.log(n), np.log(values))
    error = np.nan_to_num(fit.stderr)  # not a number where all values are the same
    half = stats.t.ppf((1 + level) / 2, len(n) - 2) * error
    return evaluation.Interval(float(fit.slope), float(fit.slope - half), float(fit.slope + half), level)
