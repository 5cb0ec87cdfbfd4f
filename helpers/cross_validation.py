"""Cross-validation: which folds, what scores, and which interval may stand behind the ±.

`splits` makes folds, `cross_validate` scores any scikit-learn classifier on them. Two quicker
ways give the same kind of `Scores`: `ridge_folds` (all folds from one matrix inverse, exactly)
and `head_folds` (heads of all folds trained as one batched model). `draws` repeats a whole
study on freshly drawn datasets and knows the truth, so that an interval can be held to it.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from joblib import Parallel, delayed
from scipy import stats
from sklearn.base import clone
from sklearn.model_selection import GroupKFold, KFold, LeaveOneGroupOut, StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from tqdm.auto import tqdm

from . import evaluation, plots, training
from .assistant import corpus, models
from .course import widgets
from .course.results import recorded
from .evaluation import Interval

LESSON = "04_cross_validation"

SPLITTERS = ("random", "stratified", "grouped", "stratified grouped", "leave one group out")


@dataclass(frozen=True)
class Scores:
    """What cross-validation measured.

    per_fold: accuracy of each fold, float (folds,). right: for each text, the share of its
    repeats in which it was classified right while held out, float (texts,); NaN if it never
    was held out. train_sizes, test_sizes: texts of each fold, int (folds,).
    """

    per_fold: np.ndarray
    right: np.ndarray
    train_sizes: np.ndarray
    test_sizes: np.ndarray

    @property
    def mean(self):
        """Mean of the folds' accuracies."""
        return float(self.per_fold.mean())

    @property
    def spread(self):
        """Standard deviation of the folds' accuracies (sample version, ddof=1): no error of the mean."""
        return float(self._several().std(ddof=1))

    def fold_spread(self):
        """mean ± np.std(folds), as the guide reports.

        It is mean ± √(k − 1) · s/√k, so its level depends on k: were folds independent, Student's t
        would give it 50 % with 2 folds, 88 % with 5 and 98.5 % with 10.
        """
        half = float(self._several().std())
        return Interval(self.mean, self.mean - half, self.mean + half, level=float("nan"))

    def standard_error(self):
        """mean ± s/√folds. Would cover about 68 % if the folds were many and independent; they are neither."""
        half = self.spread / np.sqrt(len(self.per_fold))
        return Interval(self.mean, self.mean - half, self.mean + half, level=2 * stats.norm.cdf(1) - 1)

    def naive(self, level=0.95):
        """mean ± t · s/√folds, as if folds were independent. They share most of their training texts."""
        return self._t_interval(1 / len(self.per_fold), level)

    def corrected(self, level=0.95):
        """Nadeau and Bengio's interval: mean ± t · s · √(1/folds + n_test/n_train).

        Assumes: every two folds' scores have a correlation of n_test / (n_test + n_train), which
        was derived for random splits and is a rule of thumb for k-fold; texts are exchangeable.
        Source: Nadeau & Bengio 2003, Inference for the Generalization Error; for repeated
        k-fold Bouckaert & Frank 2004, Evaluating the Replicability of Significance Tests.
        """
        return self._t_interval(1 / len(self.per_fold) + self._test_share(), level)

    def bootstrap(self, level=0.95, resamples=2000, seed=0, clusters=None):
        """Mean over texts with a bootstrap interval that draws texts again (or whole `clusters` of them).

        Assumes: held-out answers are independent between texts (between clusters), given the
        trained models. No model is trained again, so what another training set would change is left out.
        """
        tested = ~np.isnan(self.right)
        clusters = None if clusters is None else np.asarray(clusters)[tested]
        return evaluation.mean(self.right[tested], level, resamples, seed, clusters=clusters)

    def _several(self):
        if len(self.per_fold) < 2:
            raise ValueError("one fold has no spread: use at least two folds, or `bootstrap`")
        return self.per_fold

    def _test_share(self):
        return float((self.test_sizes / self.train_sizes).mean())

    def _t_interval(self, variance_factor, level):
        half = stats.t.ppf((1 + level) / 2, len(self._several()) - 1) * self.spread * np.sqrt(variance_factor)
        return Interval(self.mean, float(self.mean - half), float(self.mean + half), level)


def splits(labels, k=5, splitter="stratified", groups=None, seed=0, repeats=1):
    """Folds of a dataset: a list of (train, test) index arrays, repeat after repeat.

    labels: (texts,). splitter: one of `SPLITTERS`. groups: one a text, never on both sides of a
    grouped split. k: how many folds; None for "leave one group out", which has as many as groups.
    k = texts with "random" is leave-one-out. repeats: how often, with other folds each time.
    Raises ValueError for k below 2 or above the texts, for a class with fewer texts or groups
    with fewer labels than folds, and for groups that are missing or not one a text.
    """
    labels = np.asarray(labels)
    if splitter not in SPLITTERS:
        raise ValueError(f"splitter must be one of {', '.join(SPLITTERS)}; got {splitter!r}")
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats}")
    by_group = "group" in splitter
    if by_group and (groups is None or len(groups) != len(labels)):
        got = "none" if groups is None else len(groups)
        raise ValueError(f"splitter {splitter!r} needs groups, one for each of {len(labels)} texts; got {got}")
    if splitter == "leave one group out":
        if k is not None or repeats != 1:
            raise ValueError(
                f"leave one group out has a fold a group: k must be None and repeats 1; got {k}, {repeats}"
            )
        if len(set(groups)) < 2:
            raise ValueError("leave one group out needs at least 2 groups, got 1")
        return list(LeaveOneGroupOut().split(labels, labels, groups))
    _check_k(labels, k, splitter, groups)
    make = {"random": KFold, "stratified": StratifiedKFold, "grouped": GroupKFold}.get(splitter, StratifiedGroupKFold)
    kinds = [make(k, shuffle=True, random_state=seed + repeat) for repeat in range(repeats)]
    return [fold for kind in kinds for fold in kind.split(labels, labels, groups if by_group else None)]


def _check_k(labels, k, splitter, groups):
    if not isinstance(k, int | np.integer) or not 2 <= k <= len(labels):
        raise ValueError(f"k must be a whole number from 2 to {len(labels)}, the texts there are; got {k}")
    if "stratified" in splitter:
        values, counts = np.unique(labels, return_counts=True)
        if counts.min() < k:
            rare = values[counts.argmin()]
            raise ValueError(f"class {rare} has {counts.min()} texts, too few for {k} folds: lower k or merge classes")
    if "group" in splitter and len(set(groups)) < k:
        raise ValueError(f"{len(set(groups))} groups cannot fill {k} folds: k must be at most the number of groups")


def cross_validate(estimator, x, labels, folds, n_jobs=1):
    """Train a fresh copy of a scikit-learn classifier for each fold. Returns `Scores`.

    x: (texts, features). labels: (texts,). folds: as `splits` makes them. n_jobs: how many folds
    at once, as threads; scores do not depend on it if `estimator` has a fixed random_state.
    Raises ValueError if x and labels differ in length, or a fold is empty or overlaps itself.
    """
    x, labels = _checked(x, labels, folds)

    def predicted(train, test):
        return clone(estimator).fit(x[train], labels[train]).predict(x[test])

    found = Parallel(n_jobs=n_jobs, prefer="threads")(delayed(predicted)(*fold) for fold in folds)
    return _scored(labels, folds, found)


def ridge_folds(x, labels, folds, alpha=1.0):
    """What `cross_validate(RidgeClassifier(alpha), ...)` returns, from one matrix inverse.

    A ridge regression's predictions are linear in the targets, so what a fold would have been
    predicted without itself follows from the residuals of the fit on everything.
    alpha: penalty on the squared weights (not on the intercept), above 0.
    Source: Cook 1977; Hastie, Tibshirani & Friedman 2009, Elements of Statistical Learning, ch. 7.10.
    """
    x, labels = _checked(x, labels, folds)
    held_out = _ridge_held_out(x, labels, alpha)
    return _scored(labels, folds, [held_out(test) for _, test in folds])


def _ridge_held_out(x, labels, alpha):
    "A function from the texts of a fold to the classes that a ridge trained on all the others gives them."
    classes, targets = _targets(labels)
    inverse = _inverse(x - x.mean(axis=0), alpha)
    residual = alpha * inverse @ (targets - targets.mean(axis=0))

    def held_out(test):
        left = alpha * inverse[np.ix_(test, test)] - 1 / len(x)  # I − H of the fold, H being the hat matrix
        return classes[(targets[test] - np.linalg.solve(left, residual[test])).argmax(axis=1)]

    return held_out


def fold_models_accuracy(x, labels, folds, others, other_labels, alpha=1.0):
    """Accuracy on other texts of each fold's own model, the ridge trained without that fold: (folds,).

    others: (others, features). Raises ValueError as `ridge_folds` does.
    """
    x, labels = _checked(x, labels, folds)
    without = _ridge_without(x, labels, others, alpha)
    return np.array([(without(test) == other_labels).mean() for _, test in folds])


def _ridge_without(x, labels, others, alpha):
    """A function from texts to leave out to the classes that a ridge trained on the rest gives `others`.

    No refit: a kernel ridge with an intercept solves one linear system, and to leave texts out of
    it takes only their block of its inverse.
    """
    classes, targets = _targets(labels)
    centre, size = x.mean(axis=0), len(x)
    kernel, ones = (x - centre) @ (x - centre).T + alpha * np.eye(size), np.ones((size, 1))
    inverse = np.linalg.inv(np.block([[kernel, ones], [ones.T, np.zeros((1, 1))]]))
    dual = targets.T @ inverse[:size]
    seen = np.vstack([(x - centre) @ (others - centre).T, np.ones((1, len(others)))])
    everything, influence = dual @ seen, inverse[:size] @ seen

    def without(test):
        cut = np.linalg.solve(inverse[np.ix_(test, test)], dual[:, test].T).T
        return classes[(everything - cut @ influence[test]).argmax(axis=0)]

    return without


def ridge_predictions(x, labels, others, alpha=1.0):
    """Classes that `RidgeClassifier(alpha)` trained on `x` gives to `others`: (others,)."""
    x = np.asarray(x, dtype=np.float64)
    classes, targets = _targets(np.asarray(labels))
    centre, offset = x.mean(axis=0), targets.mean(axis=0)
    weights = (x - centre).T @ (_inverse(x - centre, alpha) @ (targets - offset))
    return classes[(others @ weights + (offset - centre @ weights)).argmax(axis=1)]


def _targets(labels):
    "(classes, ±1 for each text and class)."
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"labels hold one class, {classes[0]!r}: a classifier needs at least two")
    return classes, 2.0 * np.eye(len(classes))[codes] - 1


def _inverse(centred, alpha):
    if not alpha > 0:
        raise ValueError(f"alpha must be above 0, got {alpha}")
    return np.linalg.inv(centred @ centred.T + alpha * np.eye(len(centred)))


RIDGE = (ridge_folds, _ridge_without, ridge_predictions, _ridge_held_out, _targets, _inverse)


def head_folds(head, x, labels, folds, seed=0, **settings):
    """Train a `training.Head` for all folds at once. Returns `Scores`.

    settings: of `training.fit`, such as epochs. Folds whose training sets are of one size share
    one batched model; k-fold has at most two sizes.
    """
    x, labels = _checked(np.asarray(x, dtype=np.float32), labels, folds)
    predicted = [None] * len(folds)
    sizes = np.array([len(train) for train, _ in folds])
    for size in np.unique(sizes):
        which = np.flatnonzero(sizes == size)
        train = np.stack([folds[fold][0] for fold in which])
        seeds = [seed + int(fold) for fold in which]
        fitted = training.fit(head, (x[train], labels[train]), (x, labels), labels.max() + 1, seeds, **settings)
        for fold, classes in zip(which, fitted.probabilities(x).argmax(axis=2), strict=True):
            predicted[fold] = classes[folds[fold][1]]
    return _scored(labels, folds, predicted)


def _checked(x, labels, folds):
    x, labels = np.asarray(x), np.asarray(labels)
    if len(x) != len(labels):
        raise ValueError(f"x has {len(x)} texts and labels has {len(labels)}")
    if not folds:
        raise ValueError("folds is empty: make them with `splits`")
    for number, (train, test) in enumerate(folds):
        if len(train) == 0 or len(test) == 0 or not set(train.tolist()).isdisjoint(test.tolist()):
            raise ValueError(f"fold {number} must have texts on both sides and none on both at once")
    return (x if x.dtype == np.float32 else x.astype(np.float64)), labels


def _scored(labels, folds, predicted):
    hits, tested = np.zeros(len(labels)), np.zeros(len(labels))
    per_fold = np.zeros(len(folds))
    for number, ((_, test), classes) in enumerate(zip(folds, predicted, strict=True)):
        right = classes == labels[test]
        per_fold[number] = right.mean()
        hits[test] += right
        tested[test] += 1
    share = np.divide(hits, tested, out=np.full(len(labels), np.nan), where=tested > 0)
    sizes = np.array([(len(train), len(test)) for train, test in folds]).T
    return Scores(per_fold, share, *sizes)


def corrected_t_test(a, b, level=0.95):
    """Does learner a score other than b? The difference with its corrected interval, and the p-value.

    a, b: `Scores` on the same folds. It compares what the two learners reach on average over
    training sets, where `evaluation.mcnemar` compares two sets of answers.
    Returns (Interval, p). Raises ValueError if the folds differ. Source: Nadeau & Bengio 2003.
    """
    if not (np.array_equal(a.test_sizes, b.test_sizes) and np.array_equal(a.train_sizes, b.train_sizes)):
        raise ValueError("a and b must be scored on the same folds: make them once with `splits` and use them twice")
    difference = Scores(a.per_fold - b.per_fold, a.right - b.right, a.train_sizes, a.test_sizes)
    interval = difference.corrected(level)
    error = difference.spread * np.sqrt(1 / len(a.per_fold) + difference._test_share())
    if error == 0:
        return interval, float(difference.mean == 0)
    return interval, float(2 * stats.t.sf(abs(difference.mean) / error, len(a.per_fold) - 1))


# Studies: many datasets, drawn where the truth is known


@dataclass(frozen=True)
class Texts:
    """Labelled sentences as vectors: x float64 (texts, 384), labels and groups (texts,), and their words."""

    x: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    words: tuple
    sources: tuple

    @cached_property
    def parts(self):
        """Positions of the texts that data sets are drawn from, and of those that only ever judge: two arrays.

        Every third text, class by class in the order of how hard it is, judges; so both parts are
        equally hard, and an easy draw leaves no harder rest behind. How hard a text is, is the
        share of 60 models of 100 texts each that get it wrong.
        """
        right, models_of = np.zeros(len(self.labels)), np.zeros(len(self.labels))
        for seed in range(60):
            drawn = draw_texts(self.groups, 100, 50_000 + seed)
            rest = np.setdiff1d(np.arange(len(self.labels)), drawn)
            right[rest] += ridge_predictions(self.x[drawn], self.labels[drawn], self.x[rest]) == self.labels[rest]
            models_of[rest] += 1
        order = np.lexsort((right / models_of, self.labels))
        return np.sort(np.delete(order, np.s_[1::3])), np.sort(order[1::3])


@cache
def library_texts():
    """The 3,000 sentences labelled with their library; groups are classes and modules."""
    texts = corpus.library_labels()
    x = models.embed(texts.texts).astype(np.float64)
    return Texts(x, np.array(texts.labels), np.array(texts.groups), texts.texts, texts.sources)


def at_most_per_group(texts, most, seed=0):
    """`Texts` with at most `most` of each group, drawn at random, so that no large group is a dataset by itself."""
    if most < 1:
        raise ValueError(f"most must be at least 1, got {most}")
    order = np.random.default_rng(seed).permutation(len(texts.labels))
    seen, kept = Counter(), []
    for position in order:
        seen[texts.groups[position]] += 1
        if seen[texts.groups[position]] <= most:
            kept.append(position)
    kept = np.sort(kept)
    words, sources = (tuple(values[i] for i in kept) for values in (texts.words, texts.sources))
    return Texts(texts.x[kept], texts.labels[kept], texts.groups[kept], words, sources)


@dataclass(frozen=True)
class Protocol:
    """How accuracy is estimated. k: folds, None for leave-one-out; first: how many of them are used."""

    k: int | None
    splitter: str = "random"
    repeats: int = 1
    first: int | None = None

    def folds(self, labels, groups, seed):
        """Folds of one dataset, as `splits` makes them."""
        return splits(labels, self.k or len(labels), self.splitter, groups, seed, self.repeats)[: self.first]


PROTOCOLS = {
    "one-split": Protocol(5, first=1),
    "k=2": Protocol(2),
    "k=5": Protocol(5),
    "k=10": Protocol(10),
    "leave-one-out": Protocol(None),
    "k=5×10": Protocol(5, repeats=10),
}
INTERVALS = {
    "±std": Scores.fold_spread,
    "±std/√k": Scores.standard_error,
    "naive": Scores.naive,
    "corrected": Scores.corrected,
    "bootstrap": lambda scores: scores.bootstrap(resamples=500),
}


@dataclass(frozen=True)
class Draw:
    """One dataset: what its model really scores, what each protocol says, and its texts' groups.

    fold_models: what the models that a protocol's folds trained really score on average, where asked for.
    """

    truth: float
    scores: dict
    groups: np.ndarray
    fold_models: dict


def draw_texts(groups, size, seed, whole_groups=False):
    """Positions of a random dataset: `size` texts, or whole groups until there are at least `size`."""
    rng = np.random.default_rng(seed)
    if not 1 <= size < len(groups):
        raise ValueError(f"size must be from 1 to {len(groups) - 1}, so that untouched texts are left; got {size}")
    if not whole_groups:
        return rng.permutation(len(groups))[:size]
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = rng.permutation(len(sizes))
    taken = order[: np.searchsorted(np.cumsum(sizes[order]), size) + 1]
    return rng.permutation(np.flatnonzero(np.isin(group, taken)))


def draws(texts, size, seeds, protocols, whole_groups=False, alpha=1.0, progress=False, fold_models=()):
    """Draw a dataset for each seed, cross-validate a ridge classifier on it, and find the truth.

    The truth is the accuracy of the model trained on the whole dataset, on texts that no dataset
    is ever drawn from (`Texts.parts`). With `whole_groups` a dataset is whole groups, and the truth
    is the accuracy on all texts of the other groups. protocols: {name: `Protocol`}. fold_models:
    names of protocols whose folds' own models are judged too. Returns a list of `Draw`.

    Datasets come from a finite pool, so they overlap: at 400 of 2,000 texts estimates of different
    datasets differ by a tenth less than they otherwise would, at 100 by 3 %.
    """
    found = []
    pool, judges = (None, None) if whole_groups else texts.parts
    for seed in tqdm(seeds, "drawing datasets", leave=False, disable=not progress):
        if whole_groups:
            drawn = draw_texts(texts.groups, size, seed, whole_groups)
            judges = np.setdiff1d(np.arange(len(texts.labels)), drawn)
        else:
            drawn = pool[draw_texts(texts.groups[pool], size, seed)]
        x, labels, groups = texts.x[drawn], texts.labels[drawn], texts.groups[drawn]
        others, other_labels = texts.x[judges], texts.labels[judges]
        held_out, without = _ridge_held_out(x, labels, alpha), _ridge_without(x, labels, others, alpha)
        truth = (without(np.arange(0)) == other_labels).mean()
        scores, of_folds = {}, {}
        for name, protocol in protocols.items():
            folds = protocol.folds(labels, groups, seed)
            scores[name] = _scored(labels, folds, [held_out(test) for _, test in folds])
            if name in fold_models:
                of_folds[name] = float(np.mean([(without(test) == other_labels).mean() for _, test in folds]))
        found.append(Draw(float(truth), scores, groups, of_folds))
    return found


@dataclass(frozen=True)
class Coverage:
    """How often an interval holds its target, for three targets.

    this_model: the accuracy of the model trained on the whole dataset. expected: its mean over
    datasets. fold_models: the mean accuracy of the models that the folds trained, None where `draws`
    was not asked for it. half_width: mean, on the scale of accuracies. above, below: share of
    datasets in which this model's accuracy lies above (below) the interval.
    """

    this_model: Interval
    expected: Interval
    fold_models: Interval | None
    half_width: float
    above: float
    below: float


def coverage(drawn, protocol, interval):
    """`Coverage` of an interval, a function of `Scores` such as those in `INTERVALS`, over many draws."""
    return _coverage(drawn, protocol, [interval(draw.scores[protocol]) for draw in drawn])


def cluster_coverage(drawn, protocol):
    """`Coverage` of the bootstrap that draws whole groups."""
    found = [d.scores[protocol].bootstrap(resamples=500, clusters=d.groups) for d in drawn]
    return _coverage(drawn, protocol, found)


def _coverage(drawn, protocol, intervals):
    low, high = (np.array([getattr(i, end) for i in intervals]) for end in ("low", "high"))
    truth = np.array([draw.truth for draw in drawn])
    of_folds = np.array([draw.fold_models.get(protocol, np.nan) for draw in drawn])

    def held(target):
        return evaluation.accuracy((low <= target) & (target <= high))

    counted = held(truth), held(truth.mean()), None if np.isnan(of_folds).any() else held(of_folds)
    misses = float((truth > high).mean()), float((truth < low).mean())
    return Coverage(*counted, float((high - low).mean() / 2), *misses)


def estimation_error(drawn, protocol):
    """Bias, standard deviation and root mean square of estimate − truth over draws: a dict of floats.

    `follows` is the correlation of estimate and truth; `bias_error` the standard error of the bias.
    """
    estimate = np.array([draw.scores[protocol].mean for draw in drawn])
    truth = np.array([draw.truth for draw in drawn])
    error = estimate - truth
    return {
        "bias": float(error.mean()),
        "bias_error": float(error.std(ddof=1) / np.sqrt(len(error))),
        "sd": float(error.std(ddof=1)),
        "rmse": float(np.sqrt((error**2).mean())),
        "follows": float(np.corrcoef(estimate, truth)[0, 1]),
    }


def shuffled(labels, seed, groups=None):
    """Labels that no text explains: permuted over texts, or over groups whose texts share one label.

    Copies of one text must keep one label, or shuffling cuts the very tie that a leak runs
    along and the control sees nothing. Raises ValueError if a group has several labels.
    """
    labels, rng = np.asarray(labels), np.random.default_rng(seed)
    if groups is None:
        return rng.permutation(labels)
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    if not np.array_equal(labels[first][group], labels):
        raise ValueError("groups must have one label each to be shuffled as a whole")
    return rng.permutation(labels[first])[group]


def before_and_inside(step, estimator, texts, size, seeds, shuffle=False):
    """Accuracy with a preprocessing step fitted before the split, and inside each fold: two arrays (seeds,).

    step: a scikit-learn transformer. shuffle: cross-validate on shuffled labels.
    """
    before, inside = [], []
    for seed in seeds:
        drawn = draw_texts(texts.groups, size, seed)
        x, labels = texts.x[drawn], texts.labels[drawn]
        labels = shuffled(labels, seed) if shuffle else labels
        folds = splits(labels, 5, "random", seed=seed)
        before.append(cross_validate(estimator, clone(step).fit_transform(x, labels), labels, folds).mean)
        inside.append(cross_validate(make_pipeline(step, estimator), x, labels, folds).mean)
    return np.array(before), np.array(inside)


def with_words_dropped(sentence, rng, share=0.2):
    """A copy of a sentence with about `share` of its words dropped, and at least one kept. rng: NumPy generator."""
    words = sentence.split()
    kept = [word for word in words if rng.random() > share]
    return " ".join(kept or words[:1])


def augmented(texts, seeds, size=200, copies=3):
    """Scores of a ridge classifier trained on noisy copies of `size` sentences: {what: float array (seeds,)}.

    random, grouped: five folds of the copies, scored on copies; grouped keeps the copies of one
    sentence together. originals: five folds of the sentences, each trained on the copies of its
    training sentences and scored on the held-out sentences as they were. truth: trained on all
    copies, scored on sentences never drawn. The others are of shuffled labels, where 0.2 is chance.
    """
    found = {}
    for seed in seeds:
        rng, drawn = np.random.default_rng(seed), draw_texts(texts.groups, size, seed)
        x = models.embed([with_words_dropped(texts.words[i], rng) for i in drawn for _ in range(copies)])
        x, parent, labels = x.astype(np.float64), np.repeat(np.arange(size), copies), texts.labels[drawn]

        def folds_by(splitter, labels, x=x, parent=parent, seed=seed):
            return ridge_folds(x, labels, splits(labels, 5, splitter, parent, seed=seed)).mean

        copied, originals = labels[parent], []
        for train, test in splits(labels, 5, "random", seed=seed):
            of_train = np.isin(parent, train)
            predicted = ridge_predictions(x[of_train], copied[of_train], texts.x[drawn[test]])
            originals.append((predicted == labels[test]).mean())
        rest = np.setdiff1d(np.arange(len(texts.labels)), drawn)
        by_copy, by_sentence = shuffled(copied, seed), shuffled(copied, seed, parent)
        row = {
            "random": folds_by("random", copied),
            "grouped": folds_by("grouped", copied),
            "originals": np.mean(originals),
            "truth": (ridge_predictions(x, copied, texts.x[rest]) == texts.labels[rest]).mean(),
            "random_shuffled_by_copy": folds_by("random", by_copy),
            "random_shuffled_by_sentence": folds_by("random", by_sentence),
            "grouped_shuffled_by_sentence": folds_by("grouped", by_sentence),
        }
        for name, value in row.items():
            found.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in found.items()}


def trained_alike(x, labels, folds, size, seeds):
    """How often each text is answered right when every fold trains on the same number of texts: (texts,).

    Each seed draws `size` of a fold's training texts, so that folds of different kinds compare.
    Raises ValueError if a fold has fewer than `size`.
    """
    right, smallest = np.zeros(len(labels)), min(len(train) for train, _ in folds)
    if not 1 <= size <= smallest:
        raise ValueError(f"size must be from 1 to {smallest}, the training texts of the smallest fold; got {size}")
    for seed in seeds:
        rng = np.random.default_rng(seed)
        for train, test in folds:
            chosen = rng.permutation(train)[:size]
            right[test] += ridge_predictions(x[chosen], labels[chosen], x[test]) == labels[test]
    return right / len(seeds)


def missing_classes(x, labels, splitter, size, seeds, k=5):
    """Classes that a test fold lacks, and the folds' spread, on average for each dataset: two arrays (seeds,).

    splitter: "random" or "stratified". Classes may have fewer members than folds here, which
    `splits` refuses: this counts what then happens.
    """
    kind, lacking, spread = {"random": KFold, "stratified": StratifiedKFold}[splitter], [], []
    for seed in seeds:
        drawn = draw_texts(labels, size, seed)
        there = labels[drawn]
        folds = list(kind(k, shuffle=True, random_state=seed).split(drawn, there))
        lacking.append(np.mean([len(set(labels)) - len(set(there[test])) for _, test in folds]))
        spread.append(ridge_folds(x[drawn], there, folds).spread)
    return np.array(lacking), np.array(spread)


# Choosing: the best of many candidates, scored by what chose it and by what did not


def candidates(count, features, seed, width=96):
    """Settings to choose from: a list of (columns, alpha), random feature subsets with four penalties each."""
    if count < 4 or count % 4 or not 1 <= width <= features:
        raise ValueError(f"count must be a multiple of 4 and width from 1 to {features}; got {count} and {width}")
    rng = np.random.default_rng(seed)
    subsets = [rng.permutation(features)[:width] for _ in range(count // 4)]
    return [(columns, alpha) for columns in subsets for alpha in (0.01, 0.1, 1.0, 10.0)]


def candidate_scores(x, labels, folds, settings):
    """Cross-validated accuracy of each candidate, right answers over all texts: float array (candidates,)."""
    right = [ridge_folds(x[:, columns], labels, folds, alpha).right for columns, alpha in settings]
    return np.nansum(right, axis=1).round() / len(labels)  # whole answers, so that a tie is a tie anywhere


def flat_and_nested(x, labels, settings, k=5, seed=0):
    """(flat, nested, chosen): the winner's own score, the score of choosing and training, the winner's index.

    flat: the best candidate's cross-validated accuracy. nested: in each outer fold the choice is
    made again by an inner k-fold on its training texts, and scored on texts that took no part.
    Source: Varma & Simon 2006; Cawley & Talbot 2010.
    """
    folds = splits(labels, k, "random", seed=seed)
    scores = candidate_scores(x, labels, folds, settings)
    outer = []
    for train, test in folds:
        inner = splits(labels[train], k, "random", seed=seed)
        columns, alpha = settings[candidate_scores(x[train], labels[train], inner, settings).argmax()]
        predicted = ridge_predictions(x[train][:, columns], labels[train], x[test][:, columns], alpha)
        outer.append((predicted == labels[test]).mean())
    return float(scores.max()), float(np.mean(outer)), int(scores.argmax())


@recorded(LESSON, depends_on=[draws, draw_texts, Texts, Protocol, splits, Scores, coverage, estimation_error, *RIDGE])
def data_sizes(*, sizes=(50, 100, 200, 400), repetitions=400):
    """Error of each protocol's estimate, and coverage of each interval, over the size of the dataset."""
    texts, found = library_texts(), {}
    for size in sizes:
        drawn = draws(texts, size, range(repetitions), PROTOCOLS, progress=True, fold_models=("k=5",))
        covered = {name: vars(coverage(drawn, "k=5", of)) for name, of in INTERVALS.items()}
        found[str(size)] = {
            "truth": float(np.mean([draw.truth for draw in drawn])),
            "truth_sd": float(np.std([draw.truth for draw in drawn], ddof=1)),
            "error": {name: estimation_error(drawn, name) for name in PROTOCOLS},
            "coverage": {name: c["this_model"].estimate for name, c in covered.items()},
            "of_fold_models": {name: c["fold_models"].estimate for name, c in covered.items()},
            "half_width": {name: c["half_width"] for name, c in covered.items()},
        }
    return found


@recorded(LESSON, depends_on=[candidates, candidate_scores, flat_and_nested, shuffled, splits, draw_texts, *RIDGE])
def choosing(*, repetitions=100, size=100, count=40):
    """The winner of `count` candidates by flat CV, nested CV and the truth; shuffled labels, then real ones."""
    texts, found = library_texts(), {}
    for kind in ("shuffled", "real"):
        rows = {"flat": [], "nested": [], "truth": []}
        for seed in tqdm(range(repetitions), f"choosing on {kind} labels", leave=False):
            drawn = draw_texts(texts.groups, size, seed)
            x, labels = texts.x[drawn], texts.labels[drawn]
            labels = shuffled(labels, seed) if kind == "shuffled" else labels
            settings = candidates(count, x.shape[1], seed)
            flat, nested, chosen = flat_and_nested(x, labels, settings, seed=seed)
            columns, alpha = settings[chosen]
            right = ridge_predictions(x[:, columns], labels, texts.x[:, columns], alpha) == texts.labels
            truth = float(np.delete(right, drawn).mean())
            for name, value in (("flat", flat), ("nested", nested), ("truth", truth)):
                rows[name].append(value)
        found[kind] = rows
    return found


def choose_on(texts, size, seed, count=40):
    """The guide's 70/15/15: what the winner scores if it is chosen on the test set, or on validation.

    Returns a dict of floats: what is reported on the test set, and the truth, the chosen model's
    accuracy on all texts that were not drawn, for a model chosen on test and one chosen on validation.
    """
    drawn = draw_texts(texts.groups, size, seed)
    train, validation, test = np.split(drawn, [round(0.7 * size), round(0.85 * size)])
    settings, seen = candidates(count, texts.x.shape[1], seed), np.concatenate([validation, test])

    def right(columns, alpha, others):
        x = texts.x[train][:, columns]
        return ridge_predictions(x, texts.labels[train], texts.x[others][:, columns], alpha) == texts.labels[others]

    scores = np.array([right(*setting, seen) for setting in settings])
    on_validation, on_test = scores[:, : len(validation)].mean(axis=1), scores[:, len(validation) :].mean(axis=1)
    rest = np.setdiff1d(np.arange(len(texts.labels)), drawn)
    by_test, by_validation = on_test.argmax(), on_validation.argmax()
    return {
        "test_reported": on_test[by_test],
        "test_truth": right(*settings[by_test], rest).mean(),
        "validation_reported": on_test[by_validation],
        "validation_truth": right(*settings[by_validation], rest).mean(),
    }


# Comparing: how often do tests call two equal learners different?


def halves(seed, features=384):
    """A random half of the features: sorted column numbers."""
    return np.sort(np.random.default_rng(seed).permutation(features)[: features // 2])


def compare_halves(texts, pair, size, seeds, progress=False):
    """Five tests for two learners that see different halves of the features: (p-values, differences).

    pair: two seeds of `halves`. Ridge classifiers on the same dataset and folds. The naive and
    the corrected t-test use 5 folds or 50 (ten times five), McNemar's the pooled answers of the
    first 5. p-values are {test: list}, one a seed; differences of the two mean accuracies over 5
    folds are a list.
    """
    found = {name: [] for name in ("naive-5", "naive-50", "corrected-5", "corrected-50", "McNemar")}
    differences = []
    for seed in tqdm(seeds, "comparing", leave=False, disable=not progress):
        drawn = draw_texts(texts.groups, size, seed)
        labels = texts.labels[drawn]
        folds = splits(labels, 5, "random", seed=seed, repeats=10)
        for count in (5, 50):
            a, b = (ridge_folds(texts.x[drawn][:, halves(half)], labels, folds[:count]) for half in pair)
            difference = a.per_fold - b.per_fold
            naive = stats.ttest_1samp(difference, 0).pvalue if difference.any() else 1.0
            found[f"naive-{count}"].append(float(naive))
            found[f"corrected-{count}"].append(corrected_t_test(a, b)[1])
            if count == 5:
                found["McNemar"].append(evaluation.mcnemar(a.right > 0.5, b.right > 0.5))
                differences.append(float(difference.mean()))
    return found, differences


def halves_accuracy(texts, half, size, seeds):
    """Accuracy on untouched texts of the learner that sees one half, for each dataset drawn: (seeds,)."""
    columns, found = halves(half), []
    for seed in seeds:
        drawn = draw_texts(texts.groups, size, seed)
        predicted = ridge_predictions(texts.x[drawn][:, columns], texts.labels[drawn], texts.x[:, columns])
        found.append(np.delete(predicted == texts.labels, drawn).mean())
    return np.array(found)


@recorded(
    LESSON, depends_on=[compare_halves, halves, halves_accuracy, corrected_t_test, splits, Scores, draw_texts, *RIDGE]
)
def equal_learners(*, size=200, repetitions=300, halves_tried=12, draws_to_choose=60):
    """Two learners of equal expected accuracy, found on other datasets than those they are then tested on."""
    texts, other_seeds = library_texts(), range(10_000, 10_000 + draws_to_choose)
    accuracy = [
        halves_accuracy(texts, half, size, other_seeds).mean() for half in tqdm(range(halves_tried), leave=False)
    ]
    order = np.argsort(accuracy)
    closest = np.diff(np.array(accuracy)[order]).argmin()
    pair = [int(order[closest]), int(order[closest + 1])]
    # Picked for its small gap, it has a larger one elsewhere: measured on the datasets that the tests see.
    gap = evaluation.paired_difference(*(halves_accuracy(texts, half, size, range(repetitions)) for half in pair))
    p, differences = compare_halves(texts, pair, size, range(repetitions), progress=True)
    return {"pair": pair, "gap": [gap.estimate, gap.low, gap.high], "p": p, "differences": differences}


# Showing


def folds_and_truth(draw, protocol, grouped=False):
    """Figure of one dataset: a dot for each fold, the intervals, and a line at what the model really scores.

    grouped: does the bootstrap draw whole groups?
    """
    scores = draw.scores[protocol]
    intervals = {
        "±std": scores.fold_spread(),
        "naive": scores.naive(),
        "corrected": scores.corrected(),
        "bootstrap": scores.bootstrap(clusters=draw.groups if grouped else None),
    }
    held = [name for name, i in intervals.items() if i.low <= draw.truth <= i.high]
    title = f"The truth is {draw.truth:.2f}; it is held by: {', '.join(held) or 'none'}"
    made, axis = plots.figure(title, width=8.5, height=3.6)
    axis.scatter(scores.per_fold, [0] * len(scores.per_fold), alpha=0.6, color=plots.COLOURS[0], zorder=3)
    for row, (name, interval) in enumerate(intervals.items(), start=1):
        colour = plots.COLOURS[2] if name in held else plots.COLOURS[1]
        axis.plot([interval.low, interval.high], [row, row], color=colour, linestyle="-" if name in held else "--")
        axis.plot(interval.estimate, row, "o", color=colour)
    axis.axvline(draw.truth, color="black", linewidth=1.5)
    axis.set_yticks(range(5), ["folds", *intervals])
    axis.invert_yaxis()
    axis.set(xlabel="accuracy", xlim=(0, 1))
    return made


def explore(texts):
    """Choose folds and data; see scores and intervals against the truth. Returns a widget."""
    capped = at_most_per_group(texts, 10)

    def show(k, size, splitter, new_from, dataset):
        other_modules = new_from == "other modules"
        protocol, pool = {"chosen": Protocol(k, splitter)}, capped if other_modules else texts
        try:
            (draw,) = draws(pool, size, [dataset], protocol, other_modules)
        except ValueError as error:
            return str(error)
        return folds_and_truth(draw, "chosen", splitter == "grouped")

    options = {
        "k": (2, 3, 5, 10, 20),
        "size": (50, 100, 200, 400),
        "splitter": ("random", "stratified", "grouped"),
        "new_from": ("the same modules", "other modules"),
        "dataset": range(31),
    }
    return widgets.explorer(options, show, k=5, size=100)


def main(repetitions=200, size=100):
    """Print how often each interval holds the truth."""
    protocols = {name: PROTOCOLS[name] for name in ("k=5", "k=10", "k=5×10")}
    drawn = draws(library_texts(), size, range(repetitions), protocols, progress=True)
    print(f"{repetitions} datasets of {size} sentences; mean accuracy on untouched sentences: ", end="")
    print(f"{np.mean([draw.truth for draw in drawn]):.3f}\nShare of intervals that hold the accuracy of this model:\n")
    print(f"{'':14}" + "".join(f"{protocol:>24}" for protocol in protocols))
    for name, interval in INTERVALS.items():
        cells = [coverage(drawn, protocol, interval) for protocol in protocols]
        print(f"{name:14}" + "".join(f"{c.this_model.estimate:12.2f} (± {c.half_width:.3f})" for c in cells))


if __name__ == "__main__":
    main()
