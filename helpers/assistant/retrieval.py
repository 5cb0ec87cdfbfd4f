"""Finding documents: lexical (TF-IDF), dense (MiniLM over FAISS) and both fused by reciprocal rank."""

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from . import corpus, models

METHODS = ("lexical", "dense", "fused")


def chunk(text, size=256, overlap=50, header=""):
    """Pieces of a text of at most `size` word pieces, neighbours sharing `overlap` of them.

    header: repeated at the start of each piece but the first, so that a piece still says
    what it is about; it counts towards `size`. A text that fits is returned unchanged.
    Raises ValueError if the header leaves no room.
    """
    if overlap < 0:
        raise ValueError(f"overlap must be at least 0, got {overlap}")
    tokenizer = models.encoder().tokenizer
    room = size - 2  # the encoder's own first and last token
    spans = _spans(tokenizer, text)
    if len(spans) <= room:
        return [text]
    head = f"{header}\n" if header else ""
    following = room - len(_spans(tokenizer, head))
    if following - overlap < 8:
        raise ValueError(
            f"size {size} leaves {following} tokens a piece beside the header and an overlap of {overlap}; "
            "make size larger, or overlap smaller"
        )
    pieces, start = [], 0
    while True:
        lead, width = (head, following) if pieces else ("", room)
        excess = 1
        while excess > 0:
            window = spans[start : start + width]
            piece = lead + text[window[0][0] : window[-1][1]]
            excess = len(_spans(tokenizer, piece)) - room
            width -= max(0, excess)  # half a word can be more word pieces than it was within the whole
        pieces.append(piece)
        if start + width >= len(spans):
            return pieces
        start += max(1, width - overlap)


def _spans(tokenizer, text):
    "Where each word piece stands in the text."
    return tokenizer(text, add_special_tokens=False, truncation=False, return_offsets_mapping=True, verbose=False)[
        "offset_mapping"
    ]


@dataclass(frozen=True)
class Found:
    """What a search returns, best first; -1 fills up where fewer documents passed.

    documents: int array (queries, k) of positions in `Library.documents`; all of them if k is larger.
    scores: float array of that shape: cosine for lexical and dense search, the sum of
    reciprocal ranks for fused search.
    """

    documents: np.ndarray
    scores: np.ndarray


class Library:
    """Documents, cut into pieces and indexed in both ways.

    documents: sequence of `corpus.Document`. bodies: index the rest of each docstring too,
    not only name, signature and first paragraph. Indexes are built when first used; the
    vectors come from the cache.
    """

    def __init__(self, documents=None, chunk_size=256, overlap=50, max_seq_length=256, batch_size=32, bodies=False):
        self.documents = tuple(corpus.load_documents() if documents is None else documents)
        if not self.documents:
            raise ValueError("documents is empty: a library needs at least one document")
        self.max_seq_length, self.batch_size = max_seq_length, batch_size
        whole = [f"{d.text}\n{d.body}" if bodies else d.text for d in self.documents]
        self.texts, parents = [], []
        for position, (text, tokens) in enumerate(zip(whole, models.token_counts(whole), strict=True)):
            header = self.documents[position].name
            pieces = [text] if tokens <= chunk_size else chunk(text, chunk_size, overlap, header)
            self.texts += pieces
            parents += [position] * len(pieces)
        self.parents = np.array(parents)  # of each piece: the position of its document

    @cached_property
    def vectors(self):
        """Unit vectors of the pieces: float32 (pieces, 384)."""
        return models.embed(self.texts, self.max_seq_length, self.batch_size)

    @cached_property
    def dense_index(self):
        """FAISS's exact inner-product index over the vectors."""
        import faiss

        index = faiss.IndexFlatIP(self.vectors.shape[1])
        index.add(self.vectors)
        return index

    @cached_property
    def lexical_index(self):
        """(TF-IDF vectorizer, sparse matrix of the pieces)."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(analyzer=words, sublinear_tf=True)
        return vectorizer, vectorizer.fit_transform(self.texts)

    def search(self, queries, k=10, method="fused", threshold=-1.0, vectors=None):
        """The `k` best documents for each query: a `Found`.

        queries: list of texts. threshold: cosine to the query below which a document is left
        out (the lexical one's own cosine if the method is lexical). vectors: the queries'
        embeddings, if they are at hand. Raises ValueError for k < 1, an unknown method or an
        empty query.
        """
        if method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}; got {method!r}")
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        queries = [queries] if isinstance(queries, str) else list(queries)
        if any(not query.strip() for query in queries):
            raise ValueError("a query is empty: there is nothing to search for")
        if method == "lexical":
            return self._best(self._lexical_scores(queries), k, threshold)
        cosines = self._cosines(queries, vectors)
        if method == "dense":
            return self._best(cosines, k, threshold)
        depth = max(FUSION_DEPTH, k)
        lexical = self._best(self._lexical_scores(queries), depth, threshold=1e-9)  # without what shares no word
        dense = self._best(cosines, depth)
        return fuse([lexical.documents, dense.documents], k, allowed=self._per_document(cosines) >= threshold)

    def _cosines(self, queries, vectors):
        if vectors is None:
            vectors = models.embed(queries, self.max_seq_length, keep=len(queries) > 20)
        scores, order = self.dense_index.search(np.ascontiguousarray(vectors), len(self.texts))
        by_piece = np.empty_like(scores)
        np.put_along_axis(by_piece, order, scores, axis=1)
        return by_piece

    def _lexical_scores(self, queries):
        vectorizer, matrix = self.lexical_index
        return (vectorizer.transform(queries) @ matrix.T).toarray().astype(np.float32)

    def _per_document(self, by_piece):
        "A document scores as its best piece: (queries, documents)."
        starts = np.flatnonzero(np.diff(self.parents, prepend=-1))
        return np.maximum.reduceat(by_piece, starts, axis=1)

    def _best(self, by_piece, k, threshold=-1.0):
        scores = self._per_document(by_piece)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        best = np.take_along_axis(scores, order, axis=1)
        return Found(np.where(best >= threshold, order, -1), best)


FUSION_DEPTH = 100  # ranks of each method that are fused


def fuse(rankings, k, constant=60, allowed=None):
    """Reciprocal rank fusion: a document scores Σ 1 / (constant + its rank in each ranking).

    rankings: int arrays (queries, depth) of documents, best first, -1 for none. allowed: bool array
    (queries, documents), where given. Returns a `Found` with the `k` best.
    Source: Cormack, Clarke & Büttcher 2009, Reciprocal Rank Fusion, SIGIR.
    """
    queries, size = len(rankings[0]), 1 + max(int(ranking.max()) for ranking in rankings)
    scores = np.zeros((queries, size + 1))  # the last column is where -1 points
    for ranking in rankings:
        rows = np.arange(queries)[:, None]
        scores[rows, ranking] += 1 / (constant + 1 + np.arange(ranking.shape[1]))
    scores = scores[:, :size]
    if allowed is not None:
        scores *= allowed[:, :size]
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(scores, order, axis=1)
    return Found(np.where(best > 0, order, -1), best)


def words(text):
    """Lower-case words of a text; an identifier counts as a whole and as its parts."""
    found = []
    for word in re.findall(r"[A-Za-z_][\w.]*\w|\w", text):
        parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", word)
        found += [word.lower()] + ([part.lower() for part in parts] if len(parts) > 1 else [])
    return found
