"""Has the input changed? Two-sample tests on embeddings and search scores, no labels needed."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats
from scipy.spatial.distance import pdist
from sklearn.linear_model import LogisticRegression
from tqdm.auto import tqdm

from .. import baseline, evaluation
from ..assistant import corpus, models
from ..course.results import recorded

LESSON = "08_monitoring"
NEWCOMER = "torch"  # the library whose questions flood in; the assistant was launched without it
WINDOW = 120  # requests that a test looks at: an hour of them, in the replayed day


@dataclass(frozen=True)
class Traffic:
    """What users write: sentences that describe an object, kept out of every index, with names masked.

    texts: tuple of str. vectors: float32 (texts, 384). libraries, groups: (texts,). right: position
    of the document described. top_scores: the best cosine to a document of the libraries known at launch.
    """

    texts: tuple
    vectors: np.ndarray
    libraries: np.ndarray
    groups: np.ndarray
    right: np.ndarray
    top_scores: np.ndarray

    @property
    def known(self):
        """Rows about the libraries that the assistant was launched with."""
        return np.flatnonzero(self.libraries != NEWCOMER)

    @property
    def new(self):
        """Rows about the newcomer."""
        return np.flatnonzero(self.libraries == NEWCOMER)


@lru_cache(maxsize=1)
def load_traffic():
    """One `Traffic` row for each document that has a held-out sentence; repeated sentences count once."""
    library, rows = baseline.library(), {}
    for position, document in enumerate(library.documents):
        if document.held_out:
            rows.setdefault(corpus.masked(document), position)
    right = np.array(list(rows.values()))
    described = [library.documents[position] for position in right]
    vectors = models.embed(list(rows))
    at_launch = np.array([library.documents[parent].library != NEWCOMER for parent in library.parents])
    return Traffic(
        tuple(rows),
        vectors,
        np.array([document.library for document in described]),
        np.array([document.group for document in described]),
        right,
        (vectors @ library.vectors[at_launch].T).max(axis=1),
    )


# ---- the tests


def rbf_kernel(x, bandwidth=None):
    """exp(−‖a − b‖² / 2σ²) of all pairs of rows: float (rows, rows).

    bandwidth: σ; by default the median distance. Raises ValueError if it is not above 0.
    Source: Gretton et al. 2012, A Kernel Two-Sample Test, JMLR 13.
    """
    squared = pdist(np.asarray(x, dtype=float), "sqeuclidean")
    sigma = float(np.sqrt(np.median(squared))) if bandwidth is None else bandwidth
    if not sigma > 0:
        raise ValueError(f"bandwidth must be above 0, got {sigma}: are all rows of x the same?")
    kernel = np.ones((len(x), len(x)))
    rows, columns = np.triu_indices(len(x), 1)
    kernel[rows, columns] = kernel[columns, rows] = np.exp(-squared / (2 * sigma**2))
    return kernel


def mmd_test(reference, window, permutations=999, seed=0, sessions=None):
    """(squared MMD, p-value) that both samples come from one distribution.

    reference, window: float (rows, dimensions). The p-value counts how many of `permutations`
    random relabelings give as large a distance, so it is never below 1 / (permutations + 1).
    sessions: a label for each row of both, reference first, where requests come in sessions;
    then whole sessions are relabeled, since only they are independent.
    Source: Gretton et al. 2012; Phipson & Smyth 2010, Permutation P-values Should Never Be Zero.
    """
    _check(reference, window)
    if permutations < 19:
        raise ValueError(f"permutations must be at least 19, got {permutations}: p could not even reach 0.05")
    kernel = rbf_kernel(np.concatenate([reference, window])).astype(np.float32)
    rows = np.repeat([0, 1], [len(reference), len(window)])
    _, first, session = np.unique(
        np.arange(len(rows)) if sessions is None else sessions, return_index=True, return_inverse=True
    )
    drawn = np.random.default_rng(seed).permuted(np.tile(rows[first], (permutations, 1)), axis=1)
    inside = np.concatenate([rows[None], drawn[:, session]]).astype(np.float32)
    weights = inside / inside.sum(axis=1, keepdims=True)
    weights -= (1 - inside) / (1 - inside).sum(axis=1, keepdims=True)
    observed, *others = ((weights @ kernel) * weights).sum(axis=1)
    reached = np.array(others) >= observed - 1e-7  # the same sum in another order is a tie
    return float(observed), (1 + int(reached.sum())) / (permutations + 1)


def classifier_test(reference, window, seed=0):
    """(AUC, p-value): can a classifier tell the window from the reference?

    A logistic regression learns on half of each sample and ranks the other half. If both come from
    one distribution, that ranking is random, and the rank-sum test gives its p-value in closed form.
    Source: Lopez-Paz & Oquab 2017, Revisiting Classifier Two-Sample Tests, ICLR.
    """
    _check(reference, window)
    rng = np.random.default_rng(seed)
    halves = [np.array_split(rng.permutation(sample), 2) for sample in (reference, window)]
    (x0, held0), (x1, held1) = halves
    learned = LogisticRegression(C=10).fit(np.concatenate([x0, x1]), np.repeat([0, 1], [len(x0), len(x1)]))
    scores = [learned.decision_function(held) for held in (held1, held0)]
    found = stats.mannwhitneyu(*scores, alternative="greater")
    return float(found.statistic / (len(held0) * len(held1))), float(found.pvalue)


def score_test(reference, window):
    """(shift of the median, p-value): do searches score otherwise than they did? Rank-sum test, two-sided.

    reference, window: float (requests,), such as the best cosine of each search.
    """
    reference, window = np.asarray(reference), np.asarray(window)
    _check(reference[:, None], window[:, None])
    shift = float(np.median(window) - np.median(reference))
    return shift, float(stats.mannwhitneyu(reference, window).pvalue)


def _check(reference, window):
    for name, sample in (("reference", reference), ("window", window)):
        if np.ndim(sample) != 2 or len(sample) < 4:
            raise ValueError(f"{name} must be at least 4 rows of numbers, got shape {np.shape(sample)}")
        if not np.isfinite(sample).all():
            raise ValueError(f"{name} contains numbers that are not finite")
    if np.shape(reference)[1] != np.shape(window)[1]:
        raise ValueError(f"reference has {np.shape(reference)[1]} dimensions and window {np.shape(window)[1]}")


TESTS = ("MMD", "classifier", "search scores")


def p_values(traffic, reference, window, seed=0):
    """The p-value of every test in `TESTS` between two lists of rows of the traffic: {test: p}."""
    vectors, scores = traffic.vectors, traffic.top_scores
    return {
        "MMD": mmd_test(vectors[reference], vectors[window], seed=seed)[1],
        "classifier": classifier_test(vectors[reference], vectors[window], seed)[1],
        "search scores": score_test(scores[reference], scores[window])[1],
    }


# ---- how often they ring


def mixed(traffic, share, rng, size=WINDOW):
    """Rows of a reference and of a window with no request in common; about `share` of the window is the newcomer's."""
    if not 0 <= share <= 1:
        raise ValueError(f"share must be from 0 to 1, got {share}")
    new = rng.binomial(size, share)
    known = rng.choice(traffic.known, 2 * size - new, replace=False)
    return known[:size], np.concatenate([known[size:], rng.choice(traffic.new, new, replace=False)])


def in_sessions(traffic, length, rng, size=WINDOW):
    """Rows of a reference and of a window in which each user asks `length` questions about one class or module.

    Nothing differs between the two: both are drawn from the same users, without the newcomer.
    """
    groups, counts = np.unique(traffic.groups[traffic.known], return_counts=True)
    large = counts >= length
    users = rng.choice(groups[large], 2 * size // length, p=counts[large] / counts[large].sum())
    known = traffic.groups[traffic.known]
    rows = np.concatenate([rng.choice(traffic.known[known == user], length, replace=False) for user in users])
    return rows[:size], rows[size:]


LEVELS = (0.05, 0.01, 0.001)


def rings(p_values):
    """How often a test rings at each level, and its first p-values, with which a live slice is compared."""
    p_values = np.asarray(p_values)
    return {str(level): int((p_values <= level).sum()) for level in LEVELS} | {"first": p_values[:20].tolist()}


MEASURED_BY = [load_traffic, mmd_test, rbf_kernel, rings]


@recorded(LESSON, depends_on=[*MEASURED_BY, p_values, classifier_test, score_test, mixed])
def power(*, shares=(0.0, 0.1, 0.2, 0.3, 0.4, 0.5), trials=400, seed=0):
    """How often each test rings on windows with a share of questions about the newcomer: {"share": {test: rings}}.

    Every trial draws its own reference of `WINDOW` requests without a newcomer.
    """
    traffic, found = load_traffic(), {}
    for s, share in enumerate(tqdm(shares, "shares", leave=False)):
        rows = []
        for trial in range(trials):
            drawn = mixed(traffic, share, np.random.default_rng([seed, s, trial]))
            rows.append(p_values(traffic, *drawn, seed=trial))
        found[str(share)] = {test: rings([row[test] for row in rows]) for test in TESTS}
    return found


@recorded(LESSON, depends_on=[*MEASURED_BY, in_sessions])
def sessions(*, lengths=(1, 2, 5, 10), trials=400, seed=0):
    """How often MMD rings where nothing changes but requests come in sessions: {"length": {relabeled: rings}}."""
    traffic, found = load_traffic(), {}
    for length in tqdm(lengths, "lengths", leave=False):
        by_request, by_session = [], []
        for trial in range(trials):
            reference, window = in_sessions(traffic, length, np.random.default_rng([seed, length, trial]))
            users = np.repeat(np.arange((len(reference) + len(window)) // length), length)
            samples = traffic.vectors[reference], traffic.vectors[window]
            by_request.append(mmd_test(*samples, seed=trial)[1])
            by_session.append(mmd_test(*samples, seed=trial, sessions=users)[1])
        found[str(length)] = {"requests": rings(by_request), "sessions": rings(by_session)}
    return found


@recorded(LESSON, depends_on=MEASURED_BY)
def quiet_weeks(*, weeks=50, hours=168, seed=0):
    """How often MMD rings in weeks in which nothing changes: {"weeks": list of rings, "twice": list of counts}.

    A week has one reference, as in production; so its hours are not independent of each other.
    "twice" counts the hours that are at 0.05 or below, as the hour before was.
    """
    traffic, found, twice = load_traffic(), [], []
    for week in tqdm(range(weeks), "weeks", leave=False):
        rng = np.random.default_rng([seed, week])
        shuffled = rng.permutation(traffic.known)
        reference, others = traffic.vectors[shuffled[:WINDOW]], shuffled[WINDOW:]
        windows = [traffic.vectors[rng.choice(others, WINDOW, replace=False)] for _ in range(hours)]
        p = np.array([mmd_test(reference, window, seed=hour)[1] for hour, window in enumerate(windows)])
        found.append(rings(p))
        twice.append(int(((p[1:] <= 0.05) & (p[:-1] <= 0.05)).sum()))
    return {"weeks": found, "twice": twice}


def ring_rates(counts, trials, level=0.05):
    """What `power` returns as curves: {test: list of `evaluation.Interval`, one for each share}."""
    shares = sorted(counts, key=float)
    return {
        test: [evaluation.accuracy(np.arange(trials) < counts[share][test][str(level)]) for share in shares]
        for test in TESTS
    }
