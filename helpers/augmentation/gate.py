"""The quality gate: which variants are worth a row, and why the others are not."""

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold

from ..assistant import models, retrieval
from .augmenters import Variant

LEAST, MOST = 0.6, 0.99  # cosine to the original
REASONS = ("kept", "too far", "a copy", "repeated", "label")


@dataclass(frozen=True)
class Checked:
    """A variant, its cosine to the original, and one of `REASONS`: "kept", or what is wrong with it."""

    variant: Variant
    cosine: float
    reason: str

    @property
    def kept(self):
        return self.reason == "kept"


def gate(variants, sources, embed=None, least=LEAST, most=MOST, labels=True):
    """Check variants against their sources: a list of `Checked`, in their order.

    "too far": the cosine to the original is below `least`. "a copy": it is above `most`. "repeated":
    an earlier variant of the same source has the same words. "label": a classifier that never saw the
    source is right about the original and wrong about the variant. embed: function of a list of
    texts that returns unit vectors. labels: False where nobody knows them, as for one text alone.
    Raises ValueError if a variant's source is not among `sources`, or the limits cross.
    """
    if not -1 <= least < most <= 1:
        raise ValueError(f"least must be below most, both from -1 to 1; got {least} and {most}")
    position = {source.name: i for i, source in enumerate(sources)}
    for variant in variants:
        if variant.source not in position:
            raise ValueError(f"sources must contain {variant.source!r}, which a variant was made from")
    if not variants:
        return []
    embed = embed or embed_beginnings
    originals, made = embed([s.text for s in sources]), embed([v.text for v in variants])
    owner = np.array([position[v.source] for v in variants])
    cosines = (originals[owner] * made).sum(axis=1)
    wrong_label = _flipped(originals, made, owner, np.array([s.label for s in sources])) if labels else owner < 0
    seen, found = set(), []
    for variant, cosine, flips in zip(variants, cosines.tolist(), wrong_label, strict=True):
        same_words = (variant.source, " ".join(variant.text.lower().split()))
        reasons = {"too far": cosine < least, "a copy": cosine > most, "repeated": same_words in seen, "label": flips}
        seen.add(same_words)
        found.append(Checked(variant, cosine, next((name for name, is_so in reasons.items() if is_so), "kept")))
    return found


def embed_beginnings(texts):
    """Unit vectors of the first 256 word pieces of each text."""
    return models.embed([retrieval.chunk(text)[0] for text in texts], keep=False)


def _flipped(originals, made, owner, labels, folds=5):
    "Is the variant wrong where its original is right, for a classifier trained without this source?"
    flips = np.zeros(len(owner), bool)
    for fitted, held_out in KFold(min(folds, len(labels)), shuffle=True, random_state=0).split(originals):
        if len(set(labels[fitted])) < 2:
            continue
        classifier = LogisticRegression(C=10).fit(originals[fitted], labels[fitted])
        right = np.zeros(len(labels), bool)
        right[held_out] = classifier.predict(originals[held_out]) == labels[held_out]
        mine = np.flatnonzero(right[owner])
        if len(mine):
            flips[mine] = classifier.predict(made[mine]) != labels[owner[mine]]
    return flips
