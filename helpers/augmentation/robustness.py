"""Noisy input: what a classifier trained with or without augmentation makes of it."""

import numpy as np

from ..assistant import models
from .augmenters import misspell
from .effects import Rows, features, fit_path


def noisy_rows(rows, noise, seed=0):
    """The same rows with other texts. noise: function of (texts, seed), such as `augmenters.misspell`."""
    written = tuple(noise(rows.texts, seed))
    return Rows(written, models.embed(written), rows.targets, rows.sources)


def accuracies(material, arm, penalty, held_out, seeds, representation="embeddings", size=100):
    """Accuracy of an arm on several held-out sets: {name: float array (seeds,)}.

    held_out: {name: `effects.Rows`}, all with the same labels.
    """
    found = {name: [] for name in held_out}
    for seed in seeds:
        training = material.arm(arm, material.block(seed, size), seed)
        x, others = features(training, list(held_out.values()), representation)
        head = fit_path(x, training.targets, (penalty,))[0]
        for (name, rows), other in zip(held_out.items(), others, strict=True):
            found[name].append((head.log_probabilities(other).argmax(axis=1) == rows.targets.argmax(axis=1)).mean())
    return {name: np.array(scores) for name, scores in found.items()}


def misspell_many(texts, seed=0):
    """Typing errors in two words of five."""
    return misspell(texts, seed, share=0.4)
