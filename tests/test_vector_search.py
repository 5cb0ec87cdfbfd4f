import subprocess
import sys

import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import evaluation
from helpers.scaling.vector_search import corpora, hybrid, measuring, recorded
from helpers.scaling.vector_search.__main__ import main
from helpers.scaling.vector_search.indexes import KINDS, METRICS, Found, Graph, Index
from helpers.scaling.vector_search.shards import Shards, merge

THOROUGH = {"Flat": None, "IVF": 10_000, "HNSW": 512, "PQ": 40, "IVFPQ": 10_000}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    faiss.omp_set_num_threads(1)


@pytest.fixture(scope="module")
def vectors():
    return corpora.real_vectors()[:1500]


@pytest.fixture(scope="module")
def queries():
    return corpora.held_out_sentences().vectors[:60]


@pytest.fixture(scope="module")
def indexes(vectors):
    return {kind: Index.build(kind, vectors) for kind in KINDS}


def brute_force(queries, vectors, k=10):
    squared = ((queries[:, None] - vectors) ** 2).sum(axis=2)
    ids = np.argsort(squared, axis=1, kind="stable")[:, :k]
    return ids, np.take_along_axis(squared, ids, axis=1)


# ---- what is found


def test_flat_is_exact_and_its_distances_are_squared(vectors, queries, indexes):
    ids, squared = brute_force(queries, vectors)
    found = indexes["Flat"].search(queries)
    assert (found.ids == ids).all()
    assert np.allclose(found.scores, squared, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_finds_nearly_all_if_the_dial_is_turned_up(kind, vectors, queries, indexes):
    exact = indexes["Flat"].search(queries).ids
    found = indexes[kind].search(queries, dial=THOROUGH[kind])
    assert measuring.neighbour_recall(found.ids, exact).mean() >= 0.97
    assert (np.diff(found.scores, axis=1) >= 0).all()


@pytest.mark.parametrize("kind", ["IVF", "HNSW", "IVFPQ"])
def test_a_higher_dial_finds_more_and_computes_more(kind, queries, indexes):
    exact, index = indexes["Flat"].search(queries).ids, indexes[kind]
    dials = (1, 8, 64)
    recalls = [measuring.neighbour_recall(index.search(queries, dial=d).ids, exact).mean() for d in dials]
    computed = [measuring.distances_per_query(index, queries, dial=d) for d in dials]
    assert recalls == sorted(recalls) and recalls[0] < recalls[-1]
    assert computed == sorted(computed) and computed[0] < computed[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_on_unit_vectors_all_metrics_give_one_order(kind, vectors, queries):
    found = [Index.build(kind, vectors, metric=metric).search(queries, dial=THOROUGH[kind]) for metric in METRICS]
    assert measuring.neighbour_recall(found[0].ids, found[1].ids).mean() > 0.97
    assert (found[1].ids == found[2].ids).all()
    assert np.allclose(found[1].scores, found[2].scores, atol=1e-5)


def test_cosine_forgets_lengths_and_the_inner_product_does_not(vectors, queries):
    lengths = np.random.default_rng(0).uniform(0.2, 5, (len(vectors), 1)).astype(np.float32)
    plain, stretched = (
        Index.build("Flat", v, metric="cosine").search(queries).ids for v in (vectors, vectors * lengths)
    )
    assert (plain == stretched).all()
    assert (Index.build("Flat", vectors * lengths, metric="inner product").search(queries).ids != plain).any()


# ---- what is refused


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (lambda q: {"queries": q[0]}, r"two dimensions.*shape \(384,\): write queries\[None\]"),
        (lambda q: {"queries": q[:, :100]}, "queries have 100 dimensions and this index has 384"),
        (lambda q: {"queries": np.where(np.arange(384) == 3, np.nan, q)}, "queries 0 contains NaN"),
        (lambda q: {"queries": q, "k": 1501}, "k must be from 1 to 1500, the vectors in this index; got 1501"),
        (lambda q: {"queries": q, "k": 0}, "k must be from 1"),
        (lambda q: {"queries": q, "dial": 0}, "must be at least 1, got 0"),
        (lambda q: {"queries": q, "allowed": np.ones(3, bool)}, "allowed must be a bool for each of 1500"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(kind, asked, message, queries, indexes):
    with pytest.raises(ValueError, match=message):
        indexes[kind].search(**asked(queries))


@pytest.mark.parametrize("kind", ["IVF", "IVFPQ"])
def test_an_untrained_index_is_refused(kind, vectors, queries):
    for call in (lambda i: i.add(vectors), lambda i: i.search(queries)):
        with pytest.raises(ValueError, match=f"{kind} index is untrained: call train"):
            call(Index(kind))


def test_an_empty_index_is_refused(queries):
    with pytest.raises(ValueError, match="index is empty: add"):
        Index("Flat").search(queries)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "LSH"}, "kind must be one of Flat, IVF"),
        ({"kind": "Flat", "metric": "euclid"}, "metric must be one of l2"),
        ({"kind": "PQ", "code_bytes": 50}, "code_bytes must divide the 384 dimensions, got 50"),
        ({"kind": "HNSW", "m": 0}, "m must be at least 1, got 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Index(**settings)


def test_too_few_vectors_to_train_on_are_refused(vectors):
    with pytest.raises(ValueError, match="nlist is 200 and there are 150 vectors"):
        Index("IVF", nlist=200).train(vectors[:150])
    with pytest.raises(ValueError, match="at least 256 to train PQ"):
        Index("PQ").train(vectors[:150])
    with pytest.raises(ValueError, match="vectors 0 is all zeros"):
        Index("Flat", metric="cosine").add(np.zeros((1, 384)))


# ---- filters, deletes, files


@pytest.mark.parametrize("kind", KINDS)
def test_filters_and_deletes_hold_for_every_kind_and_survive_saving(kind, vectors, queries, tmp_path):
    index = Index.build(kind, vectors)
    best = index.search(queries, 1, dial=THOROUGH[kind]).ids[:, 0]
    index.remove(best)
    allowed = np.arange(len(vectors)) % 2 == 0
    found = index.search(queries, dial=THOROUGH[kind], allowed=allowed).ids
    assert (found % 2 == 0).all() and not np.isin(found, best).any()
    index.save(tmp_path / "index")
    for mmap in (False, True):
        again = Index.load(tmp_path / "index", mmap).search(queries, dial=THOROUGH[kind], allowed=allowed)
        assert (again.ids == found).all()


def test_added_vectors_get_the_next_ids_and_are_found(vectors, indexes):
    index = Index.build("IVF", vectors[:1000])
    assert (index.add(vectors[1000:1010]) == np.arange(1000, 1010)).all()
    assert (index.search(vectors[1000:1010], 1, dial=5).ids[:, 0] == np.arange(1000, 1010)).all()
    with pytest.raises(ValueError, match="ids must be from 0 to 1009, got 1010"):
        index.remove(1010)


def test_a_folder_without_an_index_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no index that was saved"):
        Index.load(tmp_path)


# ---- the graph, shards


def test_the_graph_links_every_node_and_only_hnsw_has_one(indexes):
    graph = Graph(indexes["HNSW"])
    reached, todo = {graph.entry}, [graph.entry]
    while todo:
        new = set(graph.neighbours(todo.pop())) - reached
        reached |= new
        todo += new
    assert len(reached) >= 0.98 * len(indexes["HNSW"])
    with pytest.raises(ValueError, match="only an HNSW index"):
        Graph(indexes["IVF"])


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_shards_answer_as_one_index_does(metric, vectors, queries):
    whole = Index.build("Flat", vectors, metric=metric).search(queries, 20)
    with Shards(vectors, 2, metric=metric) as shards:
        found = shards.search(queries, 20)
        with pytest.raises(ValueError, match="k must be from 1 to 1500, the vectors in all shards"):
            shards.search(queries, 1501)
    assert (found.ids == whole.ids).all() and np.allclose(found.scores, whole.scores, atol=1e-6)


@given(st.lists(st.floats(0, 4, width=32), min_size=4, max_size=30, unique=True), st.integers(1, 3))
def test_merging_is_sorting_all(scores, k):
    scores = np.array(scores, np.float32)
    half = len(scores) // 2
    parts = []
    for own in (scores[:half], scores[half:]):
        order = np.argsort(own)[:k]
        parts.append(Found(np.pad(order, (0, k - len(order)), constant_values=-1)[None],
                           np.pad(own[order], (0, k - len(order)), constant_values=np.inf)[None]))  # fmt: skip
    merged = merge(parts, [0, half], k)
    assert (merged.ids[0] == np.argsort(scores)[:k]).all()


# ---- larger sets


def test_larger_sets_begin_with_the_smaller_ones_and_with_the_real_vectors():
    small, large = corpora.enlarged(7000), corpora.enlarged(20_000)
    real = corpora.real_vectors()
    assert (large[:7000] == small).all() and (small[: len(real)] == real).all()
    assert np.allclose(np.linalg.norm(large, axis=1), 1, atol=1e-5)
    assert (corpora.enlarged(10) == real[:10]).all()
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        corpora.enlarged(0)


def test_made_vectors_are_as_far_apart_as_real_ones():
    real = corpora.real_vectors()
    made = corpora.enlarged(2 * len(real))[len(real) :]
    queries = corpora.held_out_sentences().vectors[:300]
    ours, theirs = corpora.shape(real, queries), corpora.shape(made, queries)
    for name, value in ours.items():
        assert theirs[name] == pytest.approx(value, rel=0.35 if "dimension" in name else 0.05), name


def test_the_intrinsic_dimension_of_a_known_set_is_found():
    rng = np.random.default_rng(0)
    flat = np.zeros((3000, 50), np.float32)
    flat[:, :5] = rng.uniform(size=(3000, 5))
    found = corpora.shape(flat)
    assert found["dimension, likelihood"] == pytest.approx(5, abs=0.7)
    assert found["dimension, two nearest"] == pytest.approx(5, abs=0.7)


def test_queries_are_no_questions_and_the_halves_share_no_group():
    choosing, reporting = corpora.two_halves()
    assert len(choosing) == len(reporting) == 500
    assert not set(choosing.groups) & set(reporting.groups)
    from helpers.assistant import corpus

    asked = {q.source for split in corpus.SPLITS for q in corpus.load_questions("described", split)}
    names = [document.name for document in corpora.baseline.library().documents]
    assert not asked & {names[i] for i in [*choosing.documents, *reporting.documents]}


def test_a_kept_index_is_read_again_and_a_damaged_one_is_built_anew(tmp_path, monkeypatch, queries):
    monkeypatch.setenv("HELPERS_CACHE", str(tmp_path))
    first = corpora.kept_index("IVF", 800).search(queries, dial=4).ids
    (folder,) = (tmp_path / "indexes").iterdir()
    monkeypatch.setattr(corpora.Index, "build", None)  # so building again would fail
    assert (corpora.kept_index("IVF", 800).search(queries, dial=4).ids == first).all()
    monkeypatch.undo()
    monkeypatch.setenv("HELPERS_CACHE", str(tmp_path))
    content = bytearray((folder / "index.faiss").read_bytes())
    content[-9] ^= 255
    (folder / "index.faiss").write_bytes(content)
    assert (corpora.kept_index("IVF", 800).search(queries, dial=4).ids == first).all()


# ---- measuring, choosing


def a_point(kind, low, p50, build=0.0, nbytes=100):
    return measuring.Point(kind, 8, evaluation.Interval(low + 0.01, low, low + 0.02), p50, p50, 1.0, build, nbytes)


def test_the_choice_is_the_cheapest_that_meets_the_target():
    points = [a_point("Flat", 0.99, 1.0), a_point("IVF", 0.96, 0.1, build=50), a_point("HNSW", 0.94, 0.01, build=500)]
    assert measuring.choose(points, 0.95, queries=1_000_000).point.kind == "IVF"
    assert measuring.choose(points, 0.95, queries=20).point.kind == "Flat"
    assert measuring.choose(points, 0.90, queries=1_000_000).point.kind == "HNSW"
    assert "Flat at 8 would take" in measuring.choose(points, 0.95).reason
    with pytest.raises(ValueError, match=r"reaches 0\.995 at the lower end; the best, Flat at 8"):
        measuring.choose(points, 0.995)
    with pytest.raises(ValueError, match="max_bytes is 10, and the smallest index"):
        measuring.choose(points, 0.95, max_bytes=10)
    with pytest.raises(ValueError, match="points is empty"):
        measuring.choose([])


def test_a_value_is_read_off_where_the_curve_crosses_the_recall():
    points = [a_point("IVF", 0.79, 1.0), a_point("IVF", 0.99, 4.0)]  # recalls of 0.80 and 1.00
    assert measuring.at_recall(points, 0.90, "p50") == pytest.approx(2.0)
    assert measuring.at_recall(points[1:], 0.90, "p50") == pytest.approx(4.0)
    with pytest.raises(ValueError, match=r"IVF ends at a recall of 0\.800, below 0\.9"):
        measuring.at_recall(points[:1], 0.9, "p50")


def test_recall_counts_the_neighbours_whatever_their_order():
    assert measuring.neighbour_recall([[3, 1, 2, -1]], [[1, 2, 4, 5]]) == pytest.approx([0.5])
    with pytest.raises(ValueError, match="one shape"):
        measuring.neighbour_recall([[1, 2]], [[1]])


def test_a_curve_stops_once_enough_is_found(vectors, indexes):
    queries = corpora.two_halves()[0].rows(np.arange(60))
    exact = indexes["Flat"].search(queries.vectors).ids
    points = measuring.curve(indexes["HNSW"], queries, exact, timed=5)
    assert points[-1].recall.low >= 0.98 > points[0].recall.low
    assert all(point.p50 <= point.p99 for point in points)
    assert recorded.as_point(recorded.as_row(points[0])) == points[0]


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_the_slope_of_a_power_law_is_its_exponent(exponent):
    n = np.array([10, 100, 1000, 5000])
    found = measuring.slope(n, 3 * n**exponent)
    assert found.estimate == pytest.approx(exponent, abs=1e-9) and found.low <= exponent + 1e-9
    with pytest.raises(ValueError, match="at least 3 sizes"):
        measuring.slope([1, 2], [1, 2])


def test_bm25_finds_a_named_object_and_fusing_keeps_what_both_rank_first():
    documents = corpora.baseline.library().documents
    ranked = hybrid.bm25(["numpy.fft.rfft", "sklearn.linear_model.Ridge"])
    assert documents[ranked[0, 0]].name == "numpy.fft.rfft"
    assert all(documents[i].name.startswith("sklearn.linear_model.Ridge") for i in ranked[1, :3])
    assert ranked.shape == (2, 100) and all(len(set(row)) == 100 for row in ranked.tolist())
    assert hybrid.fused(np.array([[5, 1, 2]]), np.array([[5, 3, 4]]), k=1)[0, 0] == 5


# ---- in a terminal


def test_the_command_compares_and_chooses(capsys):
    main(["--n", "2000", "--kinds", "IVF", "--queries", "1000"])
    printed = capsys.readouterr().out
    assert "nprobe" in printed and "cost least" in printed


def test_the_command_refuses_with_a_reason():
    command = [sys.executable, "-m", "helpers.scaling.vector_search", "--n", "5"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 2 and "--n must be at least 10" in run.stderr
