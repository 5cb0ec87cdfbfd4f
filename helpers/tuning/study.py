"""What the lesson measures live: real next-token distributions, noise, the winner's curse, many seeds of a search."""

from functools import cache

import numpy as np
import torch
from tqdm.auto import tqdm

from .. import baseline, evaluation, training
from ..assistant import corpus, models
from .objectives import labelled_vectors


@cache
def answer_logits(every=4):
    """Real logits at every fourth step of the 150 true answers, with the right document read.

    Float32 tensor (steps, vocabulary), each row from the likeliest token to the least likely.
    """
    lm = models.language_model()
    asked = corpus.load_questions("described", "development")
    prompts = baseline.prompts("right document", "described", "development")
    completions = [lm.tokens(f"={question.answer}") for question in asked]
    states = evaluation.cached_states(lm, prompts, completions)
    return lm.logits(np.concatenate(states)[::every]).sort(dim=1, descending=True).values


def entropy(logits, temperature):
    """Mean entropy of the next token in nats, over rows of logits."""
    log_p = torch.log_softmax(logits / temperature, dim=1)
    return float(-(log_p.exp() * log_p).sum(dim=1).mean())


def nucleus_size(logits, temperature, top_p):
    """How many tokens the nucleus holds in each row of sorted logits: int array (rows,)."""
    reached = torch.softmax(logits / temperature, dim=1).cumsum(dim=1)
    # Sums of 49,152 single-precision numbers may end a hair below 1.
    return (1 + (reached < top_p - 1e-6).sum(dim=1)).clamp(max=logits.shape[1]).numpy()


def noisy_winners(right, samples, repeats=1000, seed=0):
    """What a search sees if each setting is scored once, from sampled answers.

    right: probability that a question is answered right, (settings, questions). samples: how often
    each question is asked. Returns (apparent, true, winner): arrays (repeats,) of the winner's noisy
    score, its exact score, and its position.
    """
    rng, exact = np.random.default_rng(seed), right.mean(axis=1)
    winner, apparent = np.zeros(repeats, int), np.zeros(repeats)
    for repeat in range(repeats):
        scores = rng.binomial(samples, right).mean(axis=1) / samples
        winner[repeat] = scores.argmax()
        apparent[repeat] = scores.max()
    return apparent, exact[winner], winner


def bootstrap_best(right, settings, resamples=2000, seed=0, clusters=None):
    """Which setting is best on questions drawn again: float array (resamples,) of `settings` values.

    right: score of each question, (settings, questions). clusters: questions that are drawn together.
    """
    rng = np.random.default_rng(seed)
    _, of = np.unique(np.arange(right.shape[1]) if clusters is None else clusters, return_inverse=True)
    sums = np.stack([np.bincount(of, row) for row in right])  # (settings, clusters)
    sizes = np.bincount(of)
    drawn = rng.integers(0, len(sizes), (resamples, len(sizes)))
    scores = sums[:, drawn].sum(axis=2) / sizes[drawn].sum(axis=1)
    return np.asarray(settings)[scores.argmax(axis=0)]


def repeat(searches, seeds):
    """Run each search once a seed: {name: [Trials, ...]}. searches: {name: function of a seed}."""
    with tqdm(total=len(searches) * len(seeds), desc="searching", unit="search", leave=False) as progress:
        found = {name: [] for name in searches}
        for name, one in searches.items():
            for seed in seeds:
                found[name].append(one(seed))
                progress.update()
    return found


def curves(runs):
    """Best score so far, {name: float array (seeds, trials)}, from what `repeat` returns."""
    return {name: np.array([run.best_so_far for run in each]) for name, each in runs.items()}


def first_reached(curve, target):
    """After how many trials each seed's best so far reaches a target: float array (seeds,), inf if never."""
    reached = curve >= target
    return np.where(reached.any(axis=1), reached.argmax(axis=1) + 1.0, np.inf)


def random_heads(count=100, size=300, epochs=15, width=32, seed=0):
    """Train `count` heads with random settings, each on texts of its own, in one batched model.

    Dropout and label smoothing are drawn where all of them work about equally well.
    Returns which validation and reserve texts each gets right: bool array (count, texts).
    """
    rng, parts = np.random.default_rng(seed), labelled_vectors()
    sets = training.draw_training_sets(*parts["pool"], size, range(count))
    x, y = (np.concatenate([parts[name][i] for name in ("validation", "reserve")]) for i in (0, 1))
    fitted = training.fit(
        training.Head(width), sets, (x, y), 5, range(count), epochs=epochs, batch_size=100,
        learning_rate=1e-2, dropout=rng.uniform(0, 0.5, count), label_smoothing=rng.uniform(0, 0.2, count),
    )  # fmt: skip
    return fitted.probabilities(x).argmax(axis=2) == y


def select_and_report(right, size=100, repeats=500, seed=0):
    """Choose the best of many classifiers on `size` texts; report it on them, on `size` others, on all the rest.

    right: bool array (classifiers, texts). Returns a dict of float arrays (repeats,).
    """
    rng = np.random.default_rng(seed)
    found = {"on the texts it was chosen on": [], "on as many others": [], "on all others": []}
    for _ in range(repeats):
        order = rng.permutation(right.shape[1])
        chosen_on, tested_on, rest = order[:size], order[size : 2 * size], order[size:]
        winner = right[:, chosen_on].mean(axis=1).argmax()
        for name, texts in zip(found, (chosen_on, tested_on, rest), strict=True):
            found[name].append(right[winner, texts].mean())
    return {name: np.array(values) for name, values in found.items()}


def accuracy_by_learning_rate(width, learning_rates, seeds, size=300, epochs=15):
    """Accuracy of a head of this width: ({"validation" | "reserve": float array (rates, seeds)})."""
    parts = labelled_vectors()
    sets = training.draw_training_sets(*parts["pool"], size, seeds)
    runs = [np.concatenate([part] * len(learning_rates)) for part in sets]
    fitted = training.fit(
        training.Head(width), runs, parts["validation"], 5, list(seeds) * len(learning_rates), epochs=epochs,
        batch_size=100, learning_rate=np.repeat(learning_rates, len(seeds)),
    )  # fmt: skip
    found = {}
    for name in ("validation", "reserve"):
        vectors, labels = parts[name]
        right = (fitted.probabilities(vectors).argmax(axis=2) == labels).mean(axis=1)
        found[name] = right.reshape(len(learning_rates), len(seeds))
    return found


def recall_of(vectors, queries, right, k=10):
    """Recall@k of exact search with these vectors, which need not have unit length."""
    vectors, queries = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (vectors, queries))
    return evaluation.recall_at_k(np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :k], right, k)
