"""What a training set is worth: a linear classifier at its own best penalty, and the arms that it is trained on.

An *arm* is a way to make a training set from the same sources: repeat them, add variants, add new
documents. Its effect is its score minus that of plain duplication.
"""

import warnings
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import log_softmax
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from tqdm.auto import tqdm

from .. import evaluation
from ..assistant import corpus, models, retrieval
from ..course import results
from . import augmenters
from .gate import gate
from .texts import load_splits
from .translate import apertium_missing

CLASSES = len(corpus.LIBRARIES)
TRAINED_ON = 1000  # sources of the pool that have a variant of every method: ten blocks of 100
# On the mean loss, so that a repeated row changes nothing; close together, so that no arm wins by the grid's luck.
PENALTIES = (5e-3, 3e-3, 2e-3, 1.4e-3, 1e-3, 7e-4, 5e-4, 3e-4, 2e-4, 1e-4, 3e-5)
BY_RULE = ("first half", "random half", "word edits", "typing errors")

# What each arm adds to its sources. "related", "new", "noise" and "mixup" are made in `Material.arm`.
GUIDE = ("paraphrase", "back-translation", "first half", "related")  # part 2 of the guide: four techniques
ARMS = {
    "duplication": ("original",),
    "first half": ("first half",),
    "random half": ("random half",),
    "word edits": ("word edits",),
    "typing errors": ("typing errors",),
    "back-translation": ("back-translation",),
    "paraphrase": ("paraphrase",),
    "related documents": ("related",),
    "the guide's four": GUIDE,
    "the guide's four, gated": GUIDE,
    "noise": ("noise",),
    "mixup": ("mixup",),
    "new documents": ("new",),
}
IN_EMBEDDING_SPACE = ("noise", "mixup")


@dataclass(frozen=True)
class Rows:
    """A training set. texts: (rows,), None for a row that is only a vector. vectors: float (rows, 384).
    targets: float (rows, classes), each row summing to 1. sources: (rows,)."""

    texts: tuple
    vectors: np.ndarray
    targets: np.ndarray
    sources: tuple

    def __len__(self):
        return len(self.targets)

    def __add__(self, other):
        both = zip((self.vectors, self.targets), (other.vectors, other.targets), strict=True)
        return Rows(self.texts + other.texts, *(np.concatenate(p) for p in both), self.sources + other.sources)


class Material:
    """Sources with their variants by each method, and all their vectors, made or read once.

    sources: the first `TRAINED_ON` of the pool. missing: why back-translation is not there, or "".
    """

    def __init__(self, splits):
        self.sources, self.missing = splits.pool[:TRAINED_ON], apertium_missing()
        self.variants = {name: augmenters.augment(self.sources, name) for name in BY_RULE}
        self.variants["paraphrase"] = augmenters.augment(self.sources, recorded_paraphrases, name="paraphrase")
        if not self.missing:
            self.variants["back-translation"] = augmenters.augment(self.sources, "back-translation")
        self._known = {}
        for listed in (self.sources, splits.validation, *self.variants.values()):
            written = [one.text for one in listed]
            self._known |= dict(zip(written, models.embed(written), strict=True))
        vectors = self.embed([s.text for s in self.sources])
        cosines = vectors @ vectors.T
        np.fill_diagonal(cosines, -1)
        self.nearest = cosines.argmax(axis=1)  # position of each source's nearest other source

    def embed(self, written):
        """Unit vectors of texts; those of sources and variants are at hand."""
        return np.stack([self._known[t] if t in self._known else models.embed([t], keep=False)[0] for t in written])

    def rows(self, labelled):
        """`Rows` of sources or variants."""
        written = [one.text for one in labelled]
        names = tuple(getattr(one, "source", None) or one.name for one in labelled)
        return Rows(tuple(written), self.embed(written), np.eye(CLASSES)[[one.label for one in labelled]], names)

    def block(self, seed, size=100):
        """Positions of the `size` sources of a seed. Blocks of 100 share none; larger ones overlap."""
        return (np.arange(size) + 100 * seed) % len(self.sources)

    def arm(self, name, block, seed=0):
        """`Rows` of an arm on the sources of a block. Raises ValueError for an unknown name."""
        if name not in ARMS:
            raise ValueError(f"name must be one of {', '.join(ARMS)}; got {name!r}")
        own = self.rows([self.sources[i] for i in block])
        if name.endswith(", gated"):
            return own + self.rows([c.variant for c in self.checked(block, ARMS[name]) if c.kept])
        return sum((self._added(part, block, own, seed) for part in ARMS[name]), own)

    def _added(self, part, block, own, seed):
        if part == "original":
            return own
        if part == "new":  # the 100 sources that follow the block
            return self.rows([self.sources[i] for i in (block[-1] + 1 + np.arange(100)) % len(self.sources)])
        if part == "related":
            return self.rows(self.related(block))
        if part == "noise":
            return Rows((None,) * len(own), augmenters.noise(own.vectors, seed=seed), own.targets, own.sources)
        if part == "mixup":
            return Rows((None,) * len(own), *augmenters.mixup(own.vectors, own.targets, seed=seed), own.sources)
        return self.rows([self.variants[part][i] for i in block])

    def related(self, block):
        """For each source of a block the most similar other document, filed under the source's label."""
        found = [(self.sources[i], self.sources[self.nearest[i]]) for i in block]
        return [augmenters.Variant(other.text, own.name, own.label, "related") for own, other in found]

    def checked(self, block, methods=GUIDE):
        """What the gate says about the variants of a block: a list of `gate.Checked`."""
        sources = [self.sources[i] for i in block]
        made = [self.related(block) if m == "related" else [self.variants[m][i] for i in block] for m in methods]
        return gate([variant for variants in made for variant in variants], sources, self.embed)


def recorded_paraphrases(texts, seed=0):
    """SmolLM2's paraphrases of the first `TRAINED_ON` sources of the pool, as they were recorded."""
    written = results.load("03_augmentation", "paraphrases").values
    return [written[text] for text in texts]


@lru_cache(maxsize=1)
def load_material():
    """The `Material` that the lesson's experiments share."""
    return Material(load_splits())


# ---- the classifier


@dataclass(frozen=True)
class Linear:
    """A linear classifier. weights: float (dimensions, classes). bias: (classes,)."""

    weights: np.ndarray
    bias: np.ndarray

    def log_probabilities(self, x):
        """Log probabilities (texts, classes) of the rows of `x`, dense or sparse."""
        return log_softmax(x @ self.weights + self.bias, axis=1)


def fit_path(x, targets, penalties=PENALTIES, tolerance=1e-4):
    """Logistic regression for each penalty, each from the last one's solution: a list of `Linear`.

    Minimises the *mean* cross-entropy plus penalty / 2 · Σ weight². x: dense or sparse (rows,
    dimensions). targets: float (rows, classes), shares of a row's label. Raises ValueError for a
    penalty that is not positive.
    """
    if min(penalties) <= 0:
        raise ValueError(f"penalties must be above 0, got {min(penalties)}")
    row, label = np.nonzero(targets)  # a row with two labels counts twice, each time with its share
    shares = targets[row, label]
    model, found = LogisticRegression(warm_start=True, tol=tolerance, max_iter=500), []
    repeated = x if len(row) == len(targets) else x[row]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a weak penalty on a path may stop at max_iter
        for penalty in sorted(penalties, reverse=True):
            model.C = 1 / (penalty * shares.sum())
            model.fit(repeated, label, sample_weight=shares)
            found.append(_of_all_classes(model))
    return found


def _of_all_classes(model):
    "A class that no row has is never answered."
    weights, bias = np.zeros((model.coef_.shape[1], CLASSES)), np.full(CLASSES, -30.0)
    weights[:, model.classes_], bias[model.classes_] = model.coef_.T, model.intercept_
    return Linear(weights, bias)


def features(training, held_out, representation):
    """(x of the training rows, x of each held-out set) as embeddings or as TF-IDF that saw only the training rows.

    held_out: sequence of `Rows`.
    """
    if representation == "embeddings":
        return training.vectors, [rows.vectors for rows in held_out]
    if representation != "TF-IDF":
        raise ValueError(f"representation must be 'embeddings' or 'TF-IDF', got {representation!r}")
    vectorizer = TfidfVectorizer(analyzer=retrieval.words, sublinear_tf=True)
    return vectorizer.fit_transform(training.texts), [vectorizer.transform(rows.texts) for rows in held_out]


# ---- the comparison


@dataclass(frozen=True)
class Scores:
    """Held-out scores of an arm at the penalty that validation chose. Arrays are (seeds,)."""

    arm: str
    penalty: float
    rows: np.ndarray  # rows of its training sets
    log_loss: np.ndarray
    accuracy: np.ndarray

    def effect(self, control, score="log_loss"):
        """This arm minus a control, paired by seed: an `evaluation.Interval`."""
        return evaluation.over_seeds(getattr(self, score) - getattr(control, score))


def compare(material, arms, test, seeds=range(10), size=100, representation="embeddings", penalties=PENALTIES):
    """Train every arm on the same sources and score it: {arm: `Scores`}.

    For each arm validation chooses one penalty for all seeds. test: `Rows`, which choose nothing.
    Arms that need what this machine lacks are left out. Raises ValueError for an unknown arm.
    """
    validation, found = material.rows(load_splits().validation), {}
    for arm in tqdm(list(arms), "training", unit="arm", leave=False):
        if material.missing and "back-translation" in ARMS.get(arm, ()):
            continue
        chosen, scored, counts = [], [], []
        for seed in seeds:
            training = material.arm(arm, material.block(seed, size), seed)
            x, held_out = features(training, (validation, test), representation)
            path = fit_path(x, training.targets, penalties)
            both = zip(held_out, (validation, test), strict=True)
            on_validation, on_test = ([_score(head, h, rows) for head in path] for h, rows in both)
            chosen.append(on_validation)
            scored.append(on_test)
            counts.append(len(training))
        best = int(np.mean(chosen, axis=0)[:, 0].argmin())
        loss, accuracy = np.array(scored)[:, best].T
        found[arm] = Scores(arm, sorted(penalties, reverse=True)[best], np.array(counts), loss, accuracy)
    return found


def _score(head, x, rows):
    "(log loss, accuracy) of a classifier on rows with one label each."
    logs, labels = head.log_probabilities(x), rows.targets.argmax(axis=1)
    return -logs[np.arange(len(labels)), labels].mean(), (logs.argmax(axis=1) == labels).mean()


# ---- effective sample size


def equivalent_documents(sizes, losses, loss):
    """How many real documents bring the held-out loss down to `loss`, read off a learning curve.

    sizes: (sizes,), rising. losses: (sizes,), falling; between two sizes the loss is taken to be linear in
    the logarithm of the size. Raises ValueError if the losses do not fall.
    """
    if not (np.diff(losses) < 0).all():
        raise ValueError(f"losses must fall from size to size to be read backwards, got {np.round(losses, 3).tolist()}")
    return float(np.exp(np.interp(-loss, -np.asarray(losses), np.log(sizes))))


def intraclass_correlation(parts):
    """How alike the rows of one source are, from 0 (as different as any two rows) to 1 (the same).

    parts: float (rows a source, sources, dimensions). One-way analysis of variance, summed over dimensions.
    Source: Kish 1965, Survey Sampling, ch. 5; Shrout & Fleiss 1979, ICC(1).
    """
    parts = np.asarray(parts, dtype=float)
    each, sources = parts.shape[:2]
    if each < 2 or sources < 2:
        raise ValueError(f"parts must hold at least two rows of two sources, got {each} of {sources}")
    means = parts.mean(axis=0)
    between = each * ((means - means.mean(axis=0)) ** 2).sum() / (sources - 1)
    within = ((parts - means) ** 2).sum() / (sources * (each - 1))
    return float((between - within) / (between + (each - 1) * within))


def effective_rows(sources, each, correlation):
    """Kish's effective sample size of `sources` × `each` rows: rows / (1 + (each − 1) · correlation)."""
    return sources * each / (1 + (each - 1) * correlation)
