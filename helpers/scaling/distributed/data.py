"""The texts that are learned from: first paragraphs as MiniLM embeds them, and which library each is of."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np


@dataclass(frozen=True)
class Data:
    """Vectors float32 (texts, 384) and labels int64 (texts,), to train on and held out: no class or module is in both.

    classes: how many labels there are.
    """

    x: np.ndarray
    y: np.ndarray
    held_x: np.ndarray
    held_y: np.ndarray
    classes: int

    def save(self, path):
        """Write them to `path`, an .npz file, for ranks that `read` it."""
        np.savez(path, **vars(self))


def read(path):
    """The `Data` that was saved to `path`."""
    with np.load(path) as arrays:
        return Data(**{name: arrays[name] for name in arrays.files} | {"classes": int(arrays["classes"])})


@lru_cache(maxsize=1)
def load(held_out=5):
    """The five libraries' texts, one part in `held_out` of them held out. The vectors come from the cache."""
    from sklearn.model_selection import StratifiedGroupKFold

    from ...assistant import corpus, models

    labelled = corpus.library_labels()
    labels, vectors = np.array(labelled.labels), models.embed(labelled.texts)
    folds = StratifiedGroupKFold(held_out, shuffle=True, random_state=0).split(vectors, labels, labelled.groups)
    train, held = next(folds)
    return Data(vectors[train], labels[train], vectors[held], labels[held], len(labelled.classes))
