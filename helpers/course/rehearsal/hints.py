"""Which points of the rubric a typed answer mentions, with the sentence quoted.

A point counts as mentioned if a sentence of the answer is close enough to its text or one of its phrases, by
the cosine of their MiniLM vectors. That compares what sentences are *about*. It cannot tell a right statement
from a wrong one on the same subject, nor a statement from its negation (`limits` measures both), so a hint
never says "correct" and never shows a score: it quotes, and the learner judges.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ...assistant import models

THRESHOLD = 0.425  # the best on hint_development.tsv, answers written to choose it (`limits.best_threshold`)
CLAIM_THRESHOLD = 0.5  # decides only which claims are asked about first, and beside which a sentence is quoted
LONGEST = 400  # letters in one piece of an answer; the encoder takes 512 word pieces
ENDS = re.compile(r"(?<=[.!?;])\s+|\n+")


@dataclass(frozen=True)
class Hint:
    """What was found in an answer for one point of the rubric, or one known-wrong claim."""

    id: str  # of the point or the claim
    text: str  # of the point, or what the claim says
    mentioned: bool
    quote: str  # the closest sentence of the answer; "" if it has none
    similarity: float  # cosine; for choosing follow-ups, never shown


@dataclass(frozen=True)
class Reading:
    """The hints of one answer, points and known-wrong claims in the question's order."""

    points: tuple
    claims: tuple

    def missing(self, first=()):
        """The points not found: those whose ids are in `first`, then the others, and the weakest first in each."""
        missing = [hint for hint in self.points if not hint.mentioned]
        return tuple(sorted(missing, key=lambda hint: (hint.id not in first, hint.similarity)))

    @property
    def matched_first(self):
        """The claims, those that a sentence of the answer resembles before the others."""
        return tuple(sorted(self.claims, key=lambda hint: not hint.mentioned))


def read(question, answer):
    """Compare an answer with the points and the known-wrong claims of its question.

    question: a `bank.Question`. answer: a text, however long. Returns a `Reading`.
    """
    pieces = sentences(answer)
    said = models.embed(pieces, max_seq_length=512, keep=False)
    of_points, of_claims = references(question)
    points = [
        _hint(point.id, point.text, said @ vectors.T, pieces, THRESHOLD)
        for point, vectors in zip(question.points, of_points, strict=True)
    ]
    claims = [
        _hint(wrong.claim, wrong.says, said @ vectors.T, pieces, CLAIM_THRESHOLD)
        for wrong, vectors in zip(question.wrong, of_claims, strict=True)
    ]
    return Reading(tuple(points), tuple(claims))


@lru_cache(maxsize=512)
def references(question):
    """What answers are compared with, as unit vectors: (a list for the points, a list for the claims).

    Of a point its text and its phrases, float32 (texts, 384); of a claim what it says. Computed once and kept.
    """
    groups = [(p.text, *p.phrases) for p in question.points] + [(w.says,) for w in question.wrong]
    vectors = models.embed([text for group in groups for text in group])
    arrays = np.split(vectors, np.cumsum([len(group) for group in groups])[:-1])
    return arrays[: len(question.points)], arrays[len(question.points) :]


def warm(questions):
    """Load the encoder and embed what the questions' answers are compared with; kept for the next time."""
    for question in questions:
        references(question)
    models.embed(["ready"], keep=False)


def sentences(answer):
    """The answer in pieces as long as a sentence: at full stops, semicolons and line breaks.

    A piece too long for the encoder is cut, between words where it can be.
    """
    found = []
    for piece in ENDS.split(answer):
        piece = " ".join(piece.split()).strip("-*• ")
        while _length(piece) > LONGEST:
            half = len(piece) // 2
            cut = piece.rfind(" ", 1, half)
            cut = cut if cut > 0 else half
            found += sentences(piece[:cut])
            piece = piece[cut:].strip()
        if re.search(r"\w", piece):
            found.append(piece)
    return found


def _length(piece):
    "In letters with their accents apart, which is at least the number of word pieces."
    return len(unicodedata.normalize("NFD", piece))


def _hint(id, text, similarities, pieces, threshold):
    "similarities: (pieces, references) of one point or claim."
    if not pieces:
        return Hint(id, text, False, "", 0.0)
    best = int(similarities.max(axis=1).argmax())
    similarity = float(similarities[best].max())
    return Hint(id, text, similarity >= threshold, pieces[best], similarity)

