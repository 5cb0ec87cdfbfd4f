import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from helpers import baseline
from helpers.assistant import corpus, models, retrieval
from helpers.evaluation import recall_at_k


def word_pieces(text):
    return len(models.encoder().tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


@pytest.fixture(scope="module")
def few(documents):
    """Forty documents of numpy.linalg and scipy.linalg, indexed."""
    chosen = [document for document in documents if document.name.startswith(("numpy.linalg", "scipy.linalg"))]
    return retrieval.Library(chosen[:40])


# chunks

ARTICLE = " ".join(corpus.by_name()["sklearn.linear_model.Ridge"].body.split())
WORDS = sorted(set(ARTICLE.split()))
words_of_docstrings = st.lists(st.sampled_from(WORDS), min_size=1, max_size=80, unique=True).map(" ".join)
any_text = st.text(max_size=200)
sizes = st.integers(16, 60)
headers = st.sampled_from(["", "Ridge", "sklearn.Ridge"])


def chunked(text, size, overlap, header):
    """The pieces, if these settings leave room for any."""
    try:
        return retrieval.chunk(text, size, overlap, header)
    except ValueError:
        assume(False)


@given(words_of_docstrings | any_text, sizes, st.integers(0, 20), headers)
def test_every_piece_fits(text, size, overlap, header):
    for piece in chunked(text, size, overlap, header):
        assert word_pieces(piece) + 2 <= size


def test_every_piece_of_real_docstrings_fits(documents):
    for document in documents[:60]:  # some are cut within words, whose halves are other word pieces
        for piece in retrieval.chunk(document.body, 33, 5):
            assert word_pieces(piece) + 2 <= 33


@given(words_of_docstrings, sizes, st.integers(0, 20), headers)
def test_pieces_cover_the_text_in_order(text, size, overlap, header):
    reached = 0
    for number, piece in enumerate(chunked(text, size, overlap, header)):
        own = piece.removeprefix(f"{header}\n") if number and header else piece
        following = len(text) - len(text[reached:].lstrip())  # the first character that no piece has yet
        start = text.rfind(own, 0, following + len(own))  # of this piece, so that nothing is left out
        assert start >= 0
        reached = start + len(own)
    assert reached == len(text)


def test_neighbours_share_the_overlap():
    numbers = [number for number in map(str, range(1000)) if word_pieces(number) == 1]
    pieces = [piece.split() for piece in retrieval.chunk(" ".join(numbers), 40, 7, "")]
    assert all(first[-7:] == second[:7] for first, second in itertools.pairwise(pieces))
    assert [len(piece) for piece in pieces[:-1]] == [38] * (len(pieces) - 1)
    assert pieces[0] + [number for piece in pieces[1:] for number in piece[7:]] == numbers


def test_every_further_piece_repeats_the_header():
    first, *others = retrieval.chunk(ARTICLE, 64, 10, "sklearn.linear_model.Ridge")
    assert ARTICLE.startswith(first)
    assert len(others) > 10
    assert all(piece.startswith("sklearn.linear_model.Ridge\n") for piece in others)


def test_a_text_that_fits_is_left_alone():
    assert retrieval.chunk("  short \n text", 16, 7, "header") == ["  short \n text"]


def test_a_header_that_leaves_no_room_is_refused():
    with pytest.raises(ValueError, match="size 32 leaves .* tokens a piece beside the header and an overlap of 10"):
        retrieval.chunk(ARTICLE, 32, 10, "a header of so many words that nothing else has any room beside it")


def test_a_negative_overlap_is_refused():
    with pytest.raises(ValueError, match="overlap must be at least 0, got -1"):
        retrieval.chunk(ARTICLE, 64, -1)


# search


def test_dense_search_is_brute_force(few):
    queries = ["solve a linear system", "singular value decomposition", "matrix norm"]
    found = few.search(queries, 10, "dense")
    cosines = models.embed(queries, keep=False) @ few.vectors.T
    assert (found.documents == np.argsort(-cosines, axis=1)[:, :10]).all()
    assert found.scores == pytest.approx(-np.sort(-cosines, axis=1)[:, :10], abs=1e-5)


def test_lexical_search_is_the_cosine_of_tf_idf(few):
    vectorizer, matrix = few.lexical_index
    query = vectorizer.transform(["cholesky decomposition"]).toarray()[0]
    cosines = matrix.toarray() @ query
    found = few.search("cholesky decomposition", 5, "lexical")
    assert found.scores[0] == pytest.approx(-np.sort(-cosines)[:5], abs=1e-6)
    assert found.documents[0, 0] == cosines.argmax()


def test_fused_search_fuses_the_other_two(few):
    ranks = [few.search("inverse of a matrix", 40, method).documents[0].tolist() for method in ("lexical", "dense")]
    matches = (few.search("inverse of a matrix", 40, "lexical").scores > 0).sum()
    ranks[0] = ranks[0][:matches]
    scores = [sum(1 / (61 + rank.index(d)) for rank in ranks if d in rank) for d in range(40)]
    found = few.search("inverse of a matrix", 5, "fused")
    assert found.documents[0].tolist() == sorted(range(40), key=lambda d: -scores[d])[:5]
    assert found.scores[0] == pytest.approx(sorted(scores, reverse=True)[:5])


def test_a_query_of_unknown_words_is_answered_by_the_dense_search(few):
    fused, dense = (few.search("qwxyz", 5, method).documents.tolist() for method in ("fused", "dense"))
    assert fused == dense


def test_fuse_by_hand():
    found = retrieval.fuse([np.array([[0, 1, 2]]), np.array([[2, 0, 3]])], k=4)
    assert found.documents.tolist() == [[0, 2, 1, 3]]
    assert found.scores[0] == pytest.approx([1 / 61 + 1 / 62, 1 / 63 + 1 / 61, 1 / 62, 1 / 63])


def test_fuse_gives_nothing_to_empty_places():
    found = retrieval.fuse([np.array([[0, -1, -1]]), np.array([[0, 1, -1]])], k=3)
    assert found.documents.tolist() == [[0, 1]]


def test_fuse_leaves_out_what_is_not_allowed():
    rankings = [np.array([[0, 1, 2]]), np.array([[1, 0, 2]])]
    assert retrieval.fuse(rankings, 3, allowed=np.array([[False, True, False]])).documents.tolist() == [[1, -1, -1]]


@pytest.mark.parametrize("method", retrieval.METHODS)
def test_a_threshold_drops_what_is_below(few, method):
    query = "solve a linear least squares problem"
    everything = few.search(query, 40, method)
    cosines = few.search(query, 40, "lexical" if method == "lexical" else "dense")
    threshold = float(cosines.scores[0, 9]) - 1e-6
    passed = set(cosines.documents[0, :10].tolist())
    found = few.search(query, 40, method, threshold=threshold).documents[0]
    assert set(found[found >= 0].tolist()) == passed
    order = [document for document in everything.documents[0].tolist() if document in passed]
    assert found[found >= 0].tolist() == order


@pytest.mark.parametrize("method", retrieval.METHODS)
def test_nothing_reaches_a_threshold_of_one(few, method):
    assert (few.search("solve", 5, method, threshold=1).documents == -1).all()


@pytest.mark.parametrize("method", retrieval.METHODS)
def test_queries_do_not_influence_each_other(few, method):
    queries = ["solve a linear system", "matrix norm"]
    together = few.search(queries, 5, method).documents
    assert together.tolist() == [few.search(query, 5, method).documents[0].tolist() for query in queries]


def test_more_than_all_documents_are_all_documents(few):
    assert sorted(few.search("matrix", 100, "dense").documents[0].tolist()) == list(range(40))


# measured a few points higher; described questions leave something to improve on purpose
FLOORS = {
    ("lexical", "named"): (0.9, 0.97),
    ("dense", "named"): (0.5, 0.88),
    ("fused", "named"): (0.75, 0.95),
    ("lexical", "described"): (0.15, 0.38),
    ("dense", "described"): (0.12, 0.32),
    ("fused", "described"): (0.15, 0.42),
}


@pytest.mark.parametrize(("method", "family"), FLOORS)
def test_development_questions_are_found_as_often_as_stated(method, family):
    documents, right = baseline.found(family, "development", method)
    for k, floor in zip((1, 10), FLOORS[method, family]):
        assert recall_at_k(documents, right, k) >= floor, f"recall@{k}"


# libraries


def test_bodies_are_cut_into_pieces_of_their_documents(documents):
    chosen = [corpus.by_name()[name] for name in ("numpy.sinc", "sklearn.linear_model.Ridge", "torch.abs")]
    library = retrieval.Library(chosen, chunk_size=128, overlap=20, bodies=True)
    assert library.parents.tolist() == sorted(library.parents.tolist())
    assert set(library.parents.tolist()) == {0, 1, 2}
    assert (library.parents == 1).sum() > 8
    assert max(models.token_counts(library.texts)) <= 128
    for piece, parent in zip(library.texts, library.parents):
        assert piece.startswith(chosen[parent].name)


def test_a_body_is_found_by_what_only_it_says(documents):
    chosen = [document for document in documents if document.name.startswith("sklearn.linear_model.")]
    query = "conjugate gradient solver is more appropriate for large-scale data"
    ridge = [document.name for document in chosen].index("sklearn.linear_model.Ridge")
    found = {bodies: retrieval.Library(chosen, bodies=bodies).search(query, 3, "lexical") for bodies in (False, True)}
    assert ridge in found[True].documents
    assert ridge not in found[False].documents


def test_a_document_scores_as_its_best_piece():
    ridge = corpus.by_name()["sklearn.linear_model.Ridge"]
    library = retrieval.Library([ridge, corpus.by_name()["torch.abs"]], chunk_size=128, overlap=20, bodies=True)
    query = models.embed("the solver to use", keep=False)
    scores = library.search("the solver to use", 2, "dense", vectors=query).scores[0]
    by_piece = (library.vectors @ query.T)[:, 0]
    assert sorted(scores) == pytest.approx(sorted(by_piece[library.parents == d].max() for d in (0, 1)), abs=1e-5)


def test_the_whole_corpus_is_indexed_once(library, documents):
    assert len(library.documents) == len(documents)
    assert len(library.vectors) == len(library.texts) == len(library.parents)
    assert len(documents) <= len(library.texts) < len(documents) + 20


def test_identifiers_count_as_a_whole_and_as_parts():
    assert retrieval.words("Use LogisticRegression.fit_transform(x)") == [
        *("use", "logisticregression.fit_transform", "logistic", "regression", "fit", "transform", "x")
    ]


# errors


@pytest.mark.parametrize("k", [0, -1])
def test_k_is_at_least_one(few, k):
    with pytest.raises(ValueError, match=f"k must be at least 1, got {k}"):
        few.search("matrix", k)


def test_an_unknown_method_names_the_known(few):
    with pytest.raises(ValueError, match="method must be one of lexical, dense, fused; got 'bm25'"):
        few.search("matrix", method="bm25")


@pytest.mark.parametrize("query", ["", "  \n"])
def test_an_empty_query_is_refused(few, query):
    with pytest.raises(ValueError, match="a query is empty"):
        few.search(["matrix", query])


def test_a_library_needs_documents():
    with pytest.raises(ValueError, match="documents is empty"):
        retrieval.Library([])
