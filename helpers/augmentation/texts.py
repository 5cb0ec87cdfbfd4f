"""What lesson 03 trains on: short documents with two sentences or more, split by source object."""

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from .. import evaluation
from ..assistant import corpus
from .sentences import sentences

MOST_WORDS = 40  # of a document; the encoder reads them all
MOST_PER_GROUP = 60  # documents of one class or module


@dataclass(frozen=True)
class Source:
    """A document as it was written: what variants are made of, and what they must be split by."""

    name: str  # of the documented object: the source id
    text: str
    label: int  # position of its library in `corpus.LIBRARIES`
    group: str  # its class, or its module


@dataclass(frozen=True)
class Splits:
    """Sources to train on, in random order; to choose with; and a closed test set. No group is in two of them."""

    pool: tuple
    validation: tuple
    test: evaluation.HeldOut

    def block(self, seed, size=100):
        """The `size` training sources of a seed: different seeds share none.

        Raises ValueError if the pool has no such block.
        """
        start = seed * size
        if seed < 0 or size < 1 or start + size > len(self.pool):
            raise ValueError(
                f"seed must be from 0 to {len(self.pool) // max(size, 1) - 1} for blocks of {size} "
                f"in a pool of {len(self.pool)}, got {seed}"
            )
        return self.pool[start : start + size]


@lru_cache(maxsize=1)
def load_sources():
    """Documents of two sentences or more, at most 40 words: a tuple of `Source`.

    A document is the first sentences of a docstring's running text. Sentences that name a library
    would give the label away, and those that several docstrings share would be in training and
    test alike; both are left out.
    """
    documents = corpus.load_documents()
    shared = Counter(sentence for document in documents for sentence in set(_running_text(document)))
    found, groups = [], Counter()
    for document in corpus._distinct(documents):
        chosen, words = [], 0
        for sentence in _running_text(document):
            length = len(sentence.split())
            if shared[sentence] > 1 or not 3 <= length <= 30 or corpus.LIBRARY_NAME.search(sentence):
                continue
            if words + length > MOST_WORDS:
                break
            chosen.append(sentence)
            words += length
        if len(chosen) >= 2 and groups[document.group] < MOST_PER_GROUP:
            groups[document.group] += 1
            label = corpus.LIBRARIES.index(document.library)
            found.append(Source(document.name, " ".join(chosen), label, document.group))
    return tuple(found)


def _running_text(document):
    "Sentences of the summary and of the body's plain paragraphs."
    plain = [p for p in document.body.split("\n\n") if p[:1].isupper() and "\n" not in p and corpus._is_prose(p)]
    return [sentence for paragraph in (document.summary, *plain) for sentence in sentences(paragraph)]


@lru_cache(maxsize=1)
def load_splits():
    """`Splits`: a fifth of the sources to test, a fifth to validate, the rest to train on, whole groups each."""
    sources = load_sources()
    labels, groups = [s.label for s in sources], [s.group for s in sources]
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(labels, labels, groups)
    test, validation, *rest = ([sources[i] for i in rows] for _, rows in folds)
    pool = sorted((source for fold in rest for source in fold), key=lambda source: source.name)
    order = np.random.default_rng(0).permutation(len(pool))
    return Splits(tuple(pool[i] for i in order), tuple(validation), evaluation.HeldOut(test, "the test set"))
