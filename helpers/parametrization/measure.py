"""Where the optimum lies, by size: what one search, one decomposition or a few small heads can tell."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats
from sklearn.model_selection import StratifiedGroupKFold
from tqdm.auto import tqdm

from .. import baseline, evaluation, training
from ..assistant import corpus, models, retrieval

# ---- indexes of any size


@dataclass(frozen=True)
class Searches:
    """The described development questions, and how every document of the corpus ranks for each.

    questions: tuple of `corpus.Question`. right: int (questions,), the right document's position.
    clusters: (questions,), the class or module asked about. vectors: float32 (questions, 384).
    dense, lexical: int (questions, documents), best first. cosines: float32, of `dense`.
    """

    questions: tuple
    right: np.ndarray
    clusters: np.ndarray
    vectors: np.ndarray
    dense: np.ndarray
    lexical: np.ndarray
    cosines: np.ndarray

    @property
    def documents(self):
        """How many documents there are."""
        return self.dense.shape[1]

    @property
    def design(self):
        """What `evaluation.mean` must know of these questions."""
        return {"strata": np.array([q.usual for q in self.questions]), "clusters": self.clusters}


@lru_cache(maxsize=2)
def searches(family="described"):
    """`Searches` over the whole corpus for the development questions of a family."""
    questions = corpus.load_questions(family, "development")
    texts, library = [question.text for question in questions], baseline.library()
    position = {document.name: i for i, document in enumerate(library.documents)}
    vectors = models.embed(texts)
    dense = library.search(texts, len(library.documents), "dense", vectors=vectors)
    lexical = library.search(texts, len(library.documents), "lexical")
    right = np.array([position[question.source] for question in questions])
    clusters = np.array([corpus.by_name()[question.source].group for question in questions])
    return Searches(questions, right, clusters, vectors, dense.documents, lexical.documents, dense.scores)


def members(searched, size, seed):
    """An index of `size` documents for each question: bool (questions, documents).

    Each holds the right document and others drawn at random. Raises ValueError for a size that cannot be.
    """
    if not 1 <= size <= searched.documents:
        raise ValueError(f"size must be from 1 to {searched.documents}, the documents there are; got {size}")
    inside = np.zeros(searched.dense.shape, bool)
    for question, right in enumerate(searched.right):
        others = np.random.default_rng([seed, question]).choice(searched.documents - 1, size - 1, replace=False)
        inside[question, others + (others >= right)] = True  # all but the right one
        inside[question, right] = True
    return inside


def found_in(searched, size, seed=0, method="dense"):
    """What a search of an index of this size returns, best first: int (questions, size), or 100 if fused.

    The ranking is the whole corpus's, restricted to the members of the smaller index; so TF-IDF's weights are
    those of the whole corpus.
    """
    inside = members(searched, size, seed)

    def restricted(order):
        return order[np.take_along_axis(inside, order, axis=1)].reshape(len(order), size)

    if method != "fused":
        return restricted(getattr(searched, method))
    depth = min(size, retrieval.FUSION_DEPTH)
    rankings = [restricted(order)[:, :depth] for order in (searched.lexical, searched.dense)]
    return retrieval.fuse(rankings, depth).documents


def ranks(searched, size, seeds=range(5), method="dense"):
    """Rank of the right document, from 1, in one index a seed: int (seeds, questions); `size` if it is not found."""
    hits = [found_in(searched, size, seed, method) == searched.right[:, None] for seed in seeds]
    return np.stack([np.where(hit.any(axis=1), hit.argmax(axis=1) + 1, size) for hit in hits])


def needed_top_k(found_ranks, share):
    """The smallest k that has the right document among the first k for at least this share of questions."""
    return float(np.quantile(found_ranks, share, method="inverted_cdf"))


def slope(sizes, values):
    """Slope of log(value) over log(size), by least squares: float, or an array if values are (sizes, seeds)."""
    x = np.log(np.asarray(sizes, float))
    x = x - x.mean()
    return np.tensordot(x, np.log(np.asarray(values, float)), axes=(0, 0)) / (x**2).sum()


def slope_over_questions(sizes, ranks_by_size, share, clusters, resamples=400, seed=0):
    """Log-log slope of the needed k with a bootstrap interval over clusters of questions: an `Interval`.

    ranks_by_size: one int array (seeds, questions) a size.
    """
    rng, (names, which) = np.random.default_rng(seed), np.unique(clusters, return_inverse=True)
    rows = [np.flatnonzero(which == cluster) for cluster in range(len(names))]

    def fitted(questions):
        return float(slope(sizes, [needed_top_k(found[:, questions], share) for found in ranks_by_size]))

    drawn = [fitted(np.concatenate([rows[i] for i in rng.integers(0, len(rows), len(rows))])) for _ in range(resamples)]
    return evaluation.Interval(fitted(np.arange(len(which))), *map(float, np.quantile(drawn, (0.025, 0.975))))


# ---- dimension


def document_vectors():
    """One vector a document, of its first piece: float32 (documents, 384)."""
    library = baseline.library()
    return library.vectors[np.unique(library.parents, return_index=True)[1]]


def projected(dimensions):
    """Vectors of documents and of described questions on the corpus's first principal axes: two arrays of unit rows."""
    whole = document_vectors()
    axes = np.linalg.svd(whole - whole.mean(axis=0), full_matrices=False)[2][:dimensions].T
    return tuple(_unit(vectors @ axes) for vectors in (whole, searches().vectors))


def widened(dimensions, seed=0):
    """The same vectors, spread over more dimensions by a random orthogonal map: no distance changes."""
    axes = np.linalg.qr(np.random.default_rng(seed).normal(size=(dimensions, 384)))[0].T
    return tuple(vectors @ axes for vectors in (document_vectors(), searches().vectors))


def _unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def recall_with(documents, questions, sizes, k=10, seeds=range(5)):
    """Recall@k by index size with these vectors: {size: bool (seeds, questions)}."""
    searched = searches()
    scores = questions @ documents.T
    above = scores > scores[np.arange(len(scores)), searched.right][:, None]
    return {
        size: np.stack([(above & members(searched, size, seed)).sum(axis=1) < k for seed in seeds]) for size in sizes
    }


# ---- λ


@lru_cache(maxsize=4)
def labelled(task="library", noise=0.0):
    """(vectors, labels, groups, classes) of a task: "library" or "topic", a share of labels replaced at random."""
    texts = {"library": corpus.library_labels, "topic": corpus.topic_labels}[task]()
    labels, rng = np.array(texts.labels), np.random.default_rng(0)
    wrong = rng.permutation(len(labels))[: round(noise * len(labels))]
    noisy = labels.copy()
    noisy[wrong] = (labels[wrong] + rng.integers(1, len(texts.classes), len(wrong))) % len(texts.classes)
    return models.embed(texts.texts), noisy, np.array(texts.groups), len(texts.classes)


def two_parts(groups, labels, seed):
    """Rows to train on (two thirds) and rows held out, by source class or module; another split for each seed."""
    folds = StratifiedGroupKFold(3, shuffle=True, random_state=seed)
    return next(folds.split(labels, labels, groups))


def ridge_path(x, y, held_x, held_y, classes, strengths):
    """Held-out squared error and accuracy of ridge for every λ at once: float (λ, 2).

    Minimises mean squared error on one-hot labels + λ Σ weight², the bias free. One eigendecomposition of the
    covariance serves all λ. Source: Hastie, Tibshirani & Friedman 2009, ch. 3.4.
    """
    centre, targets = x.mean(axis=0), np.eye(classes)[y]
    shift = targets.mean(axis=0)
    scatter = (x - centre).T
    values, axes = np.linalg.eigh(scatter @ scatter.T / len(x))
    moments = axes.T @ (scatter @ (targets - shift)) / len(x)
    rotated, held_targets = (held_x - centre) @ axes, np.eye(classes)[held_y]
    scores = []
    for strength in strengths:
        predicted = rotated @ (moments / (values.clip(0) + strength)[:, None]) + shift
        right = (predicted.argmax(axis=1) == held_y).mean()
        scores.append((((predicted - held_targets) ** 2).sum(axis=1).mean(), right))
    return np.array(scores)


def lowest(grid, losses):
    """Where a curve over a logarithmic grid is lowest, by a parabola through the best point and its neighbours.

    Returns the edge itself if the best point is the first or the last.
    """
    best, logs = int(np.argmin(losses)), np.log(grid)
    if best in (0, len(grid) - 1):
        return float(grid[best])
    a, b, c = losses[best - 1 : best + 2]
    return float(np.exp(logs[best] + (logs[1] - logs[0]) / 2 * (a - c) / (a - 2 * b + c)))


STRENGTHS = np.geomspace(1e-7, 10, 33)


def strengths_by_size(sizes, dimensions=384, task="library", noise=0.0, seeds=range(8), strengths=STRENGTHS):
    """Ridge's whole path for every size: float (sizes, seeds, λ, 2), squared error and accuracy.

    A seed draws its own split by source and its own training texts; wrong labels are drawn once, and only
    training has them. dimensions: of the principal axes kept.
    """
    x, y, groups, classes = labelled(task, noise)
    clean, found = labelled(task)[1], []  # what is wrong in training is right where it is scored
    for seed in tqdm(seeds, "ridge paths", leave=False, disable=len(seeds) * len(sizes) < 40):
        pool, held = two_parts(groups, y, seed)
        if max(sizes) > len(pool):
            raise ValueError(f"sizes must be at most {len(pool)}, the texts to train on; got {max(sizes)}")
        reduced = x
        if dimensions < x.shape[1]:
            centred = x - x[pool].mean(axis=0)
            reduced = centred @ np.linalg.svd(centred[pool], full_matrices=False)[2][:dimensions].T
        order = np.random.default_rng(seed).permutation(pool)
        found.append([
            ridge_path(reduced[order[:n]], y[order[:n]], reduced[held], clean[held], classes, strengths) for n in sizes
        ])  # fmt: skip
    return np.array(found).swapaxes(0, 1)


def best_strengths(paths, strengths=STRENGTHS):
    """Where squared error is lowest: float (sizes, seeds), from `strengths_by_size`."""
    return np.array([[lowest(strengths, losses) for losses in seeds] for seeds in paths[..., 0]])


# ---- 70/15/15 against cross-validation


def by_split(x, y, groups, classes, strengths, seed):
    """(λ, its test accuracy): fit on about 70 %, choose on 15 %, report on the last 15 %, as the guide has it."""
    test, validate, *train = _folds(y, groups, 7, seed)
    train = np.concatenate(train)
    chosen = ridge_path(x[train], y[train], x[validate], y[validate], classes, strengths)[:, 1].argmax()
    return strengths[chosen], ridge_path(x[train], y[train], x[test], y[test], classes, strengths)[chosen, 1]


def by_nested_folds(x, y, groups, classes, strengths, seed, folds=5):
    """(λ, its estimated accuracy): λ by cross-validation on everything, the estimate by nested cross-validation."""
    right = 0.0
    for other in _folds(y, groups, folds, seed):
        own = np.setdiff1d(np.arange(len(y)), other)
        chosen = _by_folds(x[own], y[own], groups[own], classes, strengths, seed, folds)
        right += len(other) * ridge_path(x[own], y[own], x[other], y[other], classes, strengths)[chosen, 1]
    return strengths[_by_folds(x, y, groups, classes, strengths, seed, folds)], right / len(y)


def _by_folds(x, y, groups, classes, strengths, seed, folds):
    "Which λ is the most accurate over the folds."
    paths = []
    for other in _folds(y, groups, folds, seed):
        own = np.setdiff1d(np.arange(len(y)), other)
        paths.append(ridge_path(x[own], y[own], x[other], y[other], classes, strengths)[:, 1])
    return int(np.mean(paths, axis=0).argmax())


def _folds(y, groups, folds, seed):
    "Rows of each fold; what comes from one class or module stays in one."
    return [rows for _, rows in StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(y, y, groups)]


# ---- answers


def at_least_one_of(samples, expected):
    """A score of (temperature, top_p): the share of questions that one of so many samples gets right, exactly."""

    def score(temperature, top_p):
        return float((1 - (1 - expected.probabilities(temperature, top_p)) ** samples).mean())

    return score


def null_changes(expected, changes, seeds, temperature=0.7):
    """Keep each of `changes` changes that changes nothing if it seems to help: (reported, true), float (seeds,).

    A "change" is one more run of the very same settings: answers are drawn from the exact probabilities of
    `expected` (an `evaluation.ExpectedAnswers`), and kept if their accuracy is above the best so far.
    """
    reported = []
    for seed in seeds:
        right = expected.sample_right(changes + 1, temperature, seed=seed).mean(axis=0)
        reported.append(float(right.max()))
    return np.array(reported), np.full(len(reported), expected.accuracy(temperature))


def two_proportions(before, after, items):
    """Two-sided p-value that two independent samples of `items` each have the same share.

    Source: Agresti & Caffo 2000, the pooled z test.
    """
    pooled = (before + after) / 2
    z = (after - before) / np.sqrt(2 * pooled * (1 - pooled) / items)
    return float(2 * stats.norm.sf(abs(z)))


def gap_at(temperatures, size=300, seed=0):
    """Training minus held-out accuracy of one head whose logits are divided by each temperature: a list of floats."""
    x, y, groups, classes = labelled()
    pool, held = two_parts(groups, y, seed)
    own = np.random.default_rng(seed).permutation(pool)[:size]
    train, held_out = (x[own][None], y[own][None]), (x[held], y[held])
    fit = training.fit(training.Head(128), train, held_out, classes, [seed], epochs=30)
    logits = [np.log(fit.probabilities(x[rows])[0]) for rows in (own, held)]
    gaps = []
    for t in temperatures:
        right = [
            ((scores / t).argmax(axis=1) == y[rows]).mean() for scores, rows in zip(logits, (own, held), strict=True)
        ]
        gaps.append(float(right[0] - right[1]))
    return gaps


def drawn_heads(sizes, rates, seeds, epochs=15, width=128):
    """Heads with each dropout rate: held-out log loss and accuracy, float (sizes, seeds, rates, epochs, 2)."""
    x, y, groups, classes = labelled()
    found = []
    for size in sizes:
        curves = []
        for seed in seeds:
            pool, held = two_parts(groups, y, seed)
            drawn = np.random.default_rng(seed).permutation(pool)[:size]
            runs = len(rates)
            train = np.repeat(x[drawn][None], runs, axis=0), np.repeat(y[drawn][None], runs, axis=0)
            fit = training.fit(
                training.Head(width), train, (x[held], y[held]), classes, [seed] * runs,
                epochs=epochs, batch_size=max(1, size // 20), learning_rate=2e-3, dropout=rates,
            )  # fmt: skip
            curves.append(np.stack([fit.history.held_out_loss, fit.history.held_out_accuracy], axis=-1))
        found.append(curves)
    return np.array(found)
