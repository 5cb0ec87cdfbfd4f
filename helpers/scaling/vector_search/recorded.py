"""What is too long for the notebook: curves at 100,000 and at a million vectors, and growth from a thousand on."""

import faiss
import pandas as pd
from tqdm.auto import tqdm

from ... import evaluation
from ...course.results import load, recorded
from . import corpora, measuring
from .indexes import Index

LESSON = "06_vector_search"
MADE_BY = [
    corpora.Recipe, corpora.enlarged, corpora._interpolated, corpora.held_out_sentences, corpora.two_halves,
    Index.__init__, Index._empty, Index._parameters, Index.train,
    measuring.neighbour_recall, measuring.latencies, measuring.batch_seconds,
    measuring.distances_per_query, measuring.point, measuring.curve,
]  # fmt: skip


def measure(n, kinds, target, flat_timed):
    """Exact search and approximate indexes over n vectors, on one thread.

    Returns {"points": {kind: rows}, "met": {kind: row}, "reading": ..., "batch": ..., "shape": ...}: all points of each
    curve; the first that meets the target on the queries that choose, with its recall on fresh ones;
    the seconds of reading all vectors once, of one query in a batch of all, and `corpora.shape`.
    """
    faiss.omp_set_num_threads(1)
    choosing, reporting = corpora.two_halves()
    vectors = corpora.enlarged(n)
    found = {"reading": measuring.reading_seconds(vectors), "points": {}, "met": {}, "batch": {}}
    found["shape"] = corpora.shape(vectors, choosing.vectors, sample=500)
    flat = Index.build("Flat", vectors)
    del vectors
    exact, fresh = (flat.search(half.vectors).ids for half in (choosing, reporting))
    for kind in tqdm(("Flat", *kinds), f"{n:,} vectors", leave=False):
        index = flat if kind == "Flat" else corpora.kept_index(kind, n)
        points = measuring.curve(index, choosing, exact, timed=flat_timed if kind == "Flat" else None)
        found["points"][kind] = [as_row(point) for point in points]
        met = next((point for point in points if point.recall.low >= target), None)
        if met:
            recall = measuring.neighbour_recall(index.search(reporting.vectors, dial=met.dial).ids, fresh)
            recall = evaluation.mean(recall, clusters=reporting.groups)
            found["met"][kind] = as_row(met) | {"fresh": [recall.estimate, recall.low, recall.high]}
            found["batch"][kind] = measuring.batch_seconds(index, choosing.vectors, dial=met.dial)
        flat = None
    return found


def as_row(point):
    """A `Point` as JSON keeps it."""
    recall = point.recall
    return vars(point) | {"recall": [recall.estimate, recall.low, recall.high]}


def as_point(row):
    """The `Point` of a row of `as_row`; what a row has beyond it is left out."""
    names = measuring.Point.__dataclass_fields__
    return measuring.Point(**{name: row[name] for name in names} | {"recall": evaluation.Interval(*row["recall"])})


def as_points(rows):
    """{kind: list of `Point`} of the recorded `points`."""
    return {kind: [as_point(row) for row in own] for kind, own in rows.items()}


def runs():
    """What was recorded: {n: see `measure`}, from the smallest n on."""
    found = {int(n): values for n, values in load(LESSON, "growth").values.items()}
    for name in ("hundred_thousand", "million"):
        result = load(LESSON, name)
        found[result.settings["n"]] = result.values
    return dict(sorted(found.items()))


def grown(runs, smallest, target, names):
    """Where each index's curve crosses a recall, by size: {kind: {name of a `Point`'s value: {n: value}}}."""
    found = {}
    for n, run in runs.items():
        for kind, points in as_points(run["points"]).items() if n >= smallest else ():
            for name in names:
                value = measuring.at_recall(points, target, name)
                found.setdefault(kind, {}).setdefault(name, {})[n] = value
    return found


def table(runs, sizes):
    """Where each index meets the target, beside exact search: a DataFrame."""
    rows = {}
    for n in sizes:
        met = runs[n]["met"]
        for kind, row in met.items():
            point, exact = as_point(row), met["Flat"]["p50"]
            rows[f"{n:,}", kind] = {
                "dial": point.dial or "–",
                "recall": point.recall,
                "fresh": round(row["fresh"][0], 3),
                "times Flat": round(exact / point.p50, 1),
                "p99 / p50": round(point.p99 / point.p50, 1),
                "distances": round(point.distances),
                "build, in exact queries": round(point.build_seconds / exact),
            }
    return pd.DataFrame(rows).T


@recorded(LESSON, depends_on=[*MADE_BY, measure])
def hundred_thousand(*, n=100_000, kinds=("IVF", "HNSW", "IVFPQ"), target=0.95, flat_timed=200):
    """Recall and latency over 100,000 vectors: see `measure`."""
    return measure(n, kinds, target, flat_timed)


@recorded(LESSON, depends_on=[*MADE_BY, measure])
def million(*, n=1_000_000, kinds=("IVF",), target=0.95, flat_timed=60):
    """Recall and latency over a million vectors: see `measure`. An HNSW index would take over ten minutes to build."""
    return measure(n, kinds, target, flat_timed)


@recorded(LESSON, depends_on=[*MADE_BY, measure])
def growth(*, sizes=(1000, 3000, 10_000, 30_000, 300_000), kinds=("IVF", "HNSW"), target=0.95, flat_timed=200):
    """The same at other sizes: {n as text: see `measure`}."""
    return {str(n): measure(n, kinds, target, flat_timed) for n in tqdm(sizes, "sizes", leave=False)}
