"""Dense search beside lexical search: does the right document come back?"""

from functools import lru_cache

import bm25s
import numpy as np

from ... import baseline
from ...assistant import corpus, models, retrieval
from .corpora import Queries


@lru_cache(maxsize=1)
def _bm25():
    index = bm25s.BM25()
    index.index([retrieval.words(text) for text in baseline.library().texts], show_progress=False)
    return index


def bm25(texts, depth=100):
    """Documents ranked by BM25: int array (queries, depth). Source: Robertson & Zaragoza 2009; Lù 2024, BM25S."""
    pieces = _bm25().retrieve([retrieval.words(text) for text in texts], k=depth + 5, show_progress=False).documents
    return as_documents(pieces, depth)


def named_questions():
    """The development questions that name their object, as `Queries`."""
    questions = corpus.load_questions("named", "development")
    texts = [question.text for question in questions]
    position = {document.name: i for i, document in enumerate(baseline.library().documents)}
    right = np.array([position[question.source] for question in questions])
    groups = np.array([baseline.library().documents[i].group for i in right])
    return Queries(tuple(texts), models.embed(texts), groups, right)


def hits(ranked, queries, k=10):
    """Is the document that a query is about among its first k? Bool array (queries,)."""
    return (np.asarray(ranked)[:, :k] == queries.documents[:, None]).any(axis=1)


def as_documents(pieces, depth):
    """Documents of ranked pieces, each at its first piece: int array (queries, depth), -1 fills up.

    pieces: int array (queries, >= depth) of positions in `baseline.library().texts`.
    """
    return distinct(baseline.library().parents[pieces], depth)


def distinct(documents, depth):
    """Each row's documents without repetition, in order: int array (queries, depth), -1 fills up."""
    ranked = np.full((len(documents), depth), -1)
    for row, own in enumerate(documents):
        once = list(dict.fromkeys(own.tolist()))[:depth]
        ranked[row, : len(once)] = once
    return ranked


def fused(*rankings, k=10):
    """Reciprocal rank fusion of rankings of documents: int array (queries, k)."""
    return retrieval.fuse(list(rankings), k).documents
