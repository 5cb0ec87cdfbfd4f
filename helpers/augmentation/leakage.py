"""Augment, then split; or split, then augment: what cross-validation reads in each case."""

import numpy as np
from sklearn.model_selection import GroupKFold, KFold

from .. import evaluation
from .effects import fit_path

PROTOCOLS = ("augment, then split", "augment, then split by source", "split by module, then augment")
PENALTY = 1e-4  # weak: a classifier that can learn its texts by heart


def cross_validated(material, block, methods, protocol, labels=None, penalty=PENALTY, folds=5, seed=0):
    """Accuracy that cross-validation reads on sources and their variants.

    block: positions of sources. methods: of the variants added to each source. protocol:

        augment, then split              random folds over all rows
        augment, then split by source    folds over sources; a test fold keeps its variants
        split by module, then augment    folds over classes and modules; a test fold has only originals

    labels: int array (sources of the block,), if not their own. Raises ValueError for an unknown protocol.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol must be one of {', '.join(PROTOCOLS)}; got {protocol!r}")
    sources = [material.sources[i] for i in block]
    labels = np.array([s.label for s in sources]) if labels is None else np.asarray(labels)
    parts = [sources, *([material.variants[m][i] for i in block] for m in methods)]
    x = np.concatenate([material.embed([one.text for one in part]) for part in parts])
    y, owner = np.tile(labels, len(parts)), np.tile(np.arange(len(sources)), len(parts))
    original = np.arange(len(y)) < len(sources)
    if protocol == "augment, then split":
        splits = KFold(folds, shuffle=True, random_state=seed).split(x)
    else:
        module = np.unique([source.group for source in sources], return_inverse=True)[1]
        groups = owner if protocol == "augment, then split by source" else module[owner]
        splits = GroupKFold(folds, shuffle=True, random_state=seed).split(x, groups=groups)
    right = []
    for fitted, held_out in splits:
        if protocol == "split by module, then augment":
            held_out = held_out[original[held_out]]
        targets = np.eye(labels.max() + 1)[y[fitted]]
        head = fit_path(x[fitted], targets, (penalty,), tolerance=1e-3)[0]
        right.append(head.log_probabilities(x[held_out]).argmax(axis=1) == y[held_out])
    return float(np.concatenate(right).mean())


def shuffled(material, block, seed):
    """The labels of a block in random order, so that they mean nothing: int array (sources,)."""
    return np.random.default_rng(seed).permutation([material.sources[i].label for i in block])


def over_blocks(material, methods, protocol, at_random=False, penalty=PENALTY, blocks=10):
    """What cross-validation reads on the first disjoint sets of 100 sources: an `evaluation.Interval` over the sets.

    at_random: with each set's labels shuffled source by source, before the variants are added.
    """
    scores = []
    for seed in range(blocks):
        block = material.block(seed)
        labels = shuffled(material, block, seed) if at_random else None
        scores.append(cross_validated(material, block, methods, protocol, labels, penalty))
    return evaluation.over_seeds(scores)


def read_off(material, methods):
    """`over_blocks` for every protocol: {protocol: {"true labels": Interval, "labels at random": Interval}}."""
    names = {"true labels": False, "labels at random": True}
    return {
        protocol: {name: over_blocks(material, methods, protocol, at_random) for name, at_random in names.items()}
        for protocol in PROTOCOLS
    }
