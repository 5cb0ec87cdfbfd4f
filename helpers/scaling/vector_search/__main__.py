"""`python -m helpers.scaling.vector_search`: compare exact and approximate indexes in a terminal."""

import argparse
import sys

import faiss

from . import corpora, measuring
from .indexes import DIALS, KINDS, Index


def main(arguments=None):
    parser = argparse.ArgumentParser(
        "python -m helpers.scaling.vector_search",
        description="Recall@10 and latency of vector indexes over real and interpolated embeddings, on one thread.",
    )
    parser.add_argument("--n", type=int, default=100_000, help="vectors to search (default 100,000)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS[1:], default=["IVF", "HNSW"], help="beside Flat")
    parser.add_argument("--target", type=float, default=0.95, help="recall that the interval's lower end must reach")
    parser.add_argument("--queries", type=int, default=1_000_000, help="how many queries one build will answer")
    chosen = parser.parse_args(arguments)
    if not 0 < chosen.target < 1:
        parser.error(f"--target must be between 0 and 1, got {chosen.target}")
    if chosen.n < 10:
        parser.error(f"--n must be at least 10, the neighbours that are searched for; got {chosen.n}")
    try:
        report(chosen)
    except ValueError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; the indexes that were built are kept for the next time")


def report(chosen):
    """Print a line for each point of each index's curve, then the choice."""
    faiss.omp_set_num_threads(1)
    queries, _ = corpora.two_halves()
    flat = Index.build("Flat", corpora.enlarged(chosen.n, progress=True), progress=True)
    exact = flat.search(queries.vectors).ids
    print(f"{'index':7} {'setting':>14}  {'recall@10':22} {'p50 ms':>8} {'p99 ms':>8} {'x Flat':>7} {'distances':>10}")
    points, flat_p50 = [], None
    for kind in ("Flat", *chosen.kinds):
        index = flat if kind == "Flat" else corpora.kept_index(kind, chosen.n, progress=True)
        timed = 50 if kind == "Flat" else None
        for point in measuring.curve(index, queries, exact, timed=timed, progress=True):
            flat_p50 = flat_p50 or point.p50
            setting = f"{DIALS[kind]} {point.dial}" if point.dial else "–"
            print(f"{kind:7} {setting:>14}  {point.recall!s:22} {1e3 * point.p50:8.3f} {1e3 * point.p99:8.3f} "
                  f"{flat_p50 / point.p50:7.1f} {point.distances:10,.0f}", flush=True)  # fmt: skip
            points.append(point)
        flat = None
    print(measuring.choose(points, chosen.target, chosen.queries).reason)


if __name__ == "__main__":
    main()
