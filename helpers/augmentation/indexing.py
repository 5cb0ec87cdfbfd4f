"""Variants in the index: the guide's highlights, summaries and related angles, each a further row of its document."""

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from ..assistant import corpus, models, retrieval
from .augmenters import corrupt_identifiers, misspell
from .sentences import sentences

SIZE = 1500  # documents in the index
KINDS = ("highlights", "summaries", "related", "mistyped")
ALIKE = 0.65  # cosine from which the guide's "related angles" are taken, at most MOST_RELATED of them
MOST_RELATED = 5


@dataclass(frozen=True)
class Index:
    """Rows of an index. texts: (rows,). vectors: float32 (rows, 384). parents: int (rows,), the document of each."""

    texts: tuple
    vectors: np.ndarray
    parents: np.ndarray

    def __add__(self, other):
        return Index(
            self.texts + other.texts,
            np.concatenate([self.vectors, other.vectors]),
            np.concatenate([self.parents, other.parents]),
        )

    def __len__(self):
        return len(self.texts)

    def search(self, queries, k, deduplicate):
        """Documents of the best rows for each query: int array (queries, k).

        queries: float (queries, 384). deduplicate: count a document once, at its best row; without
        it a document stands in the list as often as its rows do. Raises ValueError for k below 1.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        order = np.argsort(-(queries @ self.vectors.T), axis=1, kind="stable")
        if not deduplicate:
            return self.parents[order[:, :k]]
        found = [list(dict.fromkeys(self.parents[row[: 20 * k]].tolist()))[:k] for row in order]
        return np.array(found)


@lru_cache(maxsize=1)
def load_library():
    """The documents that the test's questions ask about, filled up with others at random: a tuple of `Document`."""
    asked = {question.source for question in corpus.load_questions("described", "test")}
    documents = corpus.load_documents()
    others = [d for d in documents if d.name not in asked]
    chosen = np.random.default_rng(0).permutation(len(others))[: SIZE - len(asked)]
    return tuple(d for d in documents if d.name in asked) + tuple(others[i] for i in chosen)


def originals(documents):
    """The `Index` of the documents as they are: name, signature, first paragraph."""
    written = [retrieval.chunk(document.text)[0] for document in documents]
    return _index(written, range(len(documents)))


def variants(documents, kind):
    """The `Index` of the documents' further rows of one kind. Raises ValueError unless it is one of `KINDS`."""
    if kind == "highlights":
        return _index(
            [highlight(d.text, words) for d, words in zip(documents, key_words(documents))], range(len(documents))
        )
    if kind == "summaries":
        made = [(i, summary(document)) for i, document in enumerate(documents)]
        return _index([f"{documents[i].name}\n{text}" for i, text in made if text], [i for i, text in made if text])
    if kind == "related":
        own = originals(documents)
        rows = [(i, j) for i, near in enumerate(related(own.vectors)) for j in near]
        i, j = np.array(rows).T
        return Index(tuple(own.texts[at] for at in j), own.vectors[j], i)
    if kind == "mistyped":  # the names as people remember them, and typing errors besides
        return _index(corrupt_identifiers(misspell([d.text for d in documents])), range(len(documents)))
    raise ValueError(f"kind must be one of {', '.join(KINDS)}; got {kind!r}")


def _index(written, parents):
    pieces = [retrieval.chunk(text)[0] for text in written]
    return Index(tuple(pieces), models.embed(pieces), np.array(parents))


def key_words(documents, most=3):
    """The `most` words of each document with the largest TF-IDF: a list of sets."""
    vectorizer = TfidfVectorizer(token_pattern=r"[A-Za-z]{4,}", stop_words="english")
    weights, names = vectorizer.fit_transform([d.summary for d in documents]), vectorizer.get_feature_names_out()
    return [{names[i] for i in row.indices[np.argsort(-row.data, kind="stable")[:most]]} for row in weights]


def highlight(text, words):
    """The text with these words between two asterisks each, as Markdown marks what is important."""
    if not words:
        return text
    pattern = rf"\b({'|'.join(map(re.escape, sorted(words)))})\b"
    return re.sub(pattern, r"**\1**", text, flags=re.IGNORECASE)


def summary(document, most=2):
    """The sentences of the docstring's body that share most with all of it, in their order; "" if it has none.

    Extractive: every word stands in the docstring. Source: Radev et al. 2004, centroid-based summarization.
    """
    found = [s for s in sentences(document.body[:4000]) if 4 <= len(s.split()) <= 40 and "\n" not in s]
    if not found:
        return ""
    try:
        weights = TfidfVectorizer(stop_words="english").fit_transform(found)
    except ValueError:  # nothing but stop words
        return found[0]
    central = np.asarray(weights @ np.asarray(weights.mean(axis=0)).T)[:, 0]
    best = sorted(np.argsort(-central, kind="stable")[:most])
    return " ".join(found[i] for i in best)


def related(vectors):
    """For each document the others that are alike: a list of position lists, none to `MOST_RELATED` long."""
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1)
    nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :MOST_RELATED]
    return [[int(j) for j in row if cosines[i, j] >= ALIKE] for i, row in enumerate(nearest)]


def questions(noise=None, family="described"):
    """(query vectors, position of the right document) of the test's questions of a family.

    noise: function of (texts, seed), such as `augmenters.misspell`.
    """
    asked = corpus.load_questions(family, "test")
    position = {document.name: i for i, document in enumerate(load_library())}
    written = [question.text for question in asked]
    written = written if noise is None else noise(written, 0)
    return models.embed(written), np.array([position[question.source] for question in asked])


def distinct(found):
    """How many different documents stand in each list: int array (queries,)."""
    return np.array([len(set(row)) for row in found.tolist()])


def hits(index, queries, right, k, deduplicate):
    """Is the right document among the first k? Bool array (queries,)."""
    return (index.search(queries, k, deduplicate) == right[:, None]).any(axis=1)


def described(index, queries, right):
    """An index as a row of a table: rows, different documents in ten places, recall as listed and once each."""
    row = {"rows": len(index), "documents in ten": distinct(index.search(queries, 10, False)).mean()}
    for k in (3, 10):
        row[f"recall@{k}"] = hits(index, queries, right, k, False).mean()
        row[f"recall@{k}, once each"] = hits(index, queries, right, k, True).mean()
    return row
