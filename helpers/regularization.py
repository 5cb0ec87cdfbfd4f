"""Lesson 02: what L1, L2, AdamW, dropout and early stopping do to a classifier head.

First each technique by hand, as one step that equals torch's; then least squares against
ridge; then every technique at its own best setting, chosen on validation, with equal budgets.
`python -m helpers.regularization` prints that comparison.
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.model_selection import StratifiedGroupKFold
from tqdm.auto import tqdm

from . import evaluation, training
from .assistant import corpus, models
from .course.results import recorded
from .training import EarlyStopper

LESSON = "02_regularization"
HEAD = training.Head(width=128)
TRAINING = {"epochs": 30, "learning_rate": 2e-3}
STEPS_AN_EPOCH = 20  # at every size, so that a small training set gets no fewer steps than a large one

# Five settings each, so that no technique wins by being searched harder. "as the guide has it" is one setting.
TECHNIQUES = {
    "nothing": [{}],
    "AdamW": [{"weight_decay": decay} for decay in (0.1, 0.3, 1.0, 3.0, 10.0)],
    "L2 in Adam": [{"optimizer": "adam", "weight_decay": decay} for decay in (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)],
    "L1": [{"l1": strength} for strength in (1e-5, 3e-5, 1e-4, 3e-4, 1e-3)],
    "dropout": [{"dropout": rate} for rate in (0.1, 0.3, 0.5, 0.7, 0.9)],
    "label smoothing": [{"label_smoothing": share} for share in (0.05, 0.1, 0.2, 0.3, 0.5)],
    "early stopping": [{"early_stopping": EarlyStopper(patience)} for patience in (1, 2, 3, 5, 10)],
    "as the guide has it": [
        {
            "optimizer": "adam",
            "weight_decay": 0.01,
            "dropout": 0.3,
            "early_stopping": EarlyStopper(5, min_delta=0.001, restore_best=False),
        }
    ],
}
TWICE_THE_DATA = "twice the data"


# ---- the techniques by hand


def inverted_dropout(x, rate, generator=None):
    """Zero each number with probability `rate` and divide the others by 1 − rate, so that the mean stays.

    x: float tensor of any shape. Raises ValueError unless 0 ≤ rate < 1.
    Source: Srivastava et al. 2014 (whose p is the share that stays).
    """
    if not 0 <= rate < 1:
        raise ValueError(f"rate must be at least 0 and below 1, got {rate}: it is the share that is dropped")
    return x * torch.empty_like(x).bernoulli_(1 - rate, generator=generator) / (1 - rate)


def l2_step(weight, gradient, learning_rate, weight_decay):
    """One step of gradient descent on loss + (weight_decay / 2) Σ weight², whose gradient is weight_decay · weight."""
    return weight - learning_rate * (gradient + weight_decay * weight)


@dataclass(frozen=True)
class Moments:
    """What Adam remembers of a weight's gradients: decaying means of the gradient and of its square."""

    mean: torch.Tensor
    square: torch.Tensor
    steps: int = 0


def adam_step(weight, gradient, moments, learning_rate, weight_decay, decoupled, betas=(0.9, 0.999), epsilon=1e-8):
    """One step of Adam, or of AdamW if `decoupled`. Returns the new weight and `Moments`.

    Adam adds the decay to the gradient, so it is divided by the gradient's size like the rest.
    AdamW takes learning_rate · weight_decay · weight off the weight itself.
    Source: Kingma & Ba 2015; Loshchilov & Hutter 2019, Decoupled Weight Decay Regularization.
    """
    if decoupled:
        weight = weight * (1 - learning_rate * weight_decay)
    else:
        gradient = gradient + weight_decay * weight
    steps = moments.steps + 1
    mean = betas[0] * moments.mean + (1 - betas[0]) * gradient
    square = betas[1] * moments.square + (1 - betas[1]) * gradient**2
    unbiased = mean / (1 - betas[0] ** steps), square / (1 - betas[1] ** steps)
    return weight - learning_rate * unbiased[0] / (unbiased[1].sqrt() + epsilon), Moments(mean, square, steps)


class GuideEarlyStopper:
    """The guide's rule, kept to show where it fails: compare `training.EarlyStopper`.

    Counts the checks since the loss last fell by `min_delta` in absolute terms. It keeps no
    weights, gives no reason, and a NaN is to it one more loss without improvement.
    """

    def __init__(self, patience=5, min_delta=0.001):
        self.patience, self.min_delta, self.counter, self.best = patience, min_delta, 0, math.inf

    def step(self, loss):
        """Take the next epoch's loss. True once training should stop."""
        improved = loss < self.best - self.min_delta
        self.best, self.counter = (loss, 0) if improved else (self.best, self.counter + 1)
        return self.counter >= self.patience


def stops_at(stopper, losses):
    """The epoch (from 0) at which a stopper ends training on these losses; None if it never does."""
    return next((epoch for epoch, loss in enumerate(losses) if stopper.step(float(loss))), None)


def as_module(fit, run=0, dropout=0.0):
    """One run of a fit as a plain torch module: linear layers, ReLU, and `torch.nn.Dropout` behind each ReLU."""
    layers = []
    for weight, bias in fit.layers:
        linear = torch.nn.Linear(*weight.shape[1:])
        linear.weight.data, linear.bias.data = weight[run].T.clone(), bias[run, 0].clone()
        layers += [linear, torch.nn.ReLU(), torch.nn.Dropout(dropout)]
    return torch.nn.Sequential(*layers[:-2])


# ---- the data


@dataclass(frozen=True)
class Splits:
    """Labelled texts as vectors, split by source object into a pool to train on, validation, and a closed test set.

    vectors: float32 (texts, 384). labels: int (texts,). groups: (texts,), a class with its
    methods or a module's functions. pool, validation: row numbers. test: a
    `evaluation.HeldOut` of row numbers.
    """

    vectors: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    classes: int
    pool: np.ndarray
    validation: np.ndarray
    test: evaluation.HeldOut

    def rows(self, chosen):
        """(vectors, labels) of these rows."""
        return self.vectors[list(chosen)], self.labels[list(chosen)]

    def draw(self, size, seeds, noise=0.0):
        """A training set for each seed, drawn from the pool: see `training.draw_training_sets`."""
        return training.draw_training_sets(*self.rows(self.pool), size, seeds, noise)

    def fit(self, size, seeds, noise=0.0, head=HEAD, **settings):
        """Train on a set drawn for each seed and follow the validation set. Returns a `training.Fit`."""
        drawn = self.draw(size, seeds, noise)
        settings = TRAINING | {"batch_size": max(1, size // STEPS_AN_EPOCH)} | settings
        return training.fit(head, drawn, self.rows(self.validation), self.classes, seeds, **settings)


def load_splits():
    """The library labels: a fifth of the texts to test, a fifth to validate, the rest to train on."""
    labelled = corpus.library_labels()
    labels, groups = np.array(labelled.labels), np.array(labelled.groups)
    vectors = models.embed(labelled.texts)
    fifths = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(vectors, labels, groups)
    test, validation, *pool = [rows for _, rows in fifths]
    closed = evaluation.HeldOut(test.tolist(), "the test set")
    return Splits(vectors, labels, groups, len(labelled.classes), np.concatenate(pool), validation, closed)


# ---- least squares, ridge


def least_squares(x, y, classes, ridge=0.0):
    """Weights that fit one-hot labels with the least Σ error² + ridge · Σ weight²: float (dimensions, classes).

    x: float (texts, dimensions). y: int (texts,). ridge 0: the least-norm solution if there
    are many. Source: Hastie, Tibshirani & Friedman 2009, ch. 3.
    """
    if ridge < 0:
        raise ValueError(f"ridge must be at least 0, got {ridge}: a penalty cannot reward large weights")
    x, targets = np.asarray(x, dtype=float), np.eye(classes)[y]
    if ridge == 0:
        return np.linalg.lstsq(x, targets, rcond=None)[0]
    return np.linalg.solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T @ targets)


def double_descent(splits, sizes, strengths, seeds):
    """Validation accuracy over the number of training texts, without a penalty and with the best of `strengths`.

    Returns {"least squares": float (sizes, seeds), "ridge": the same, "strength": that was best}.
    """
    x, y = splits.rows(splits.validation)

    def score(drawn_x, drawn_y, ridge):
        return float(((x @ least_squares(drawn_x, drawn_y, splits.classes, ridge)).argmax(axis=1) == y).mean())

    found = {"least squares": [], "ridge": [], "strength": []}
    for size in tqdm(sizes, "training-set sizes", leave=False):
        drawn = list(zip(*splits.draw(size, seeds), strict=True))
        found["least squares"].append([score(*one, 0.0) for one in drawn])
        paths = np.array([[score(*one, strength) for one in drawn] for strength in strengths])
        best = int(paths.mean(axis=1).argmax())
        found["ridge"].append(paths[best].tolist())
        found["strength"].append(strengths[best])
    return {name: np.array(values) for name, values in found.items()}


def stopping(history, patiences):
    """What early stopping on held-out loss would have done to runs that went on to the end.

    Returns {patience: {"stops after": epochs, "last": held-out accuracy there, "restored": at
    the best epoch before, "premature": was a later epoch better still?}}, each an array (runs,).
    """
    losses, right, found = history.held_out_loss, history.held_out_accuracy, {}
    runs = np.arange(len(losses))
    for patience in patiences:
        stoppers = [EarlyStopper(patience) for _ in runs]
        ends = [stops_at(stopper, curve) for stopper, curve in zip(stoppers, losses, strict=True)]
        ends = np.array([losses.shape[1] - 1 if end is None else end for end in ends])
        best = np.array([stopper.best_epoch for stopper in stoppers])
        found[patience] = {
            "stops after": ends + 1,
            "last": right[runs, ends],
            "restored": right[runs, best],
            "premature": losses.argmin(axis=1) > ends,
        }
    return found


def optimism_of_stopping(splits, size, noise, seeds):
    """By how much the accuracy at the chosen epoch flatters, on the texts that chose the epoch.

    Half of the validation groups choose the epoch with the best accuracy of each run, the other
    half did not choose; then they swap roles, so that one half being easier cancels out.
    Returns apparent and fresh accuracy, float arrays (seeds,), means over both roles.
    """
    rows = splits.validation
    in_two = StratifiedGroupKFold(2, shuffle=True, random_state=0).split(rows, splits.labels[rows], splits.groups[rows])
    halves = [splits.rows(rows[half]) for _, half in in_two]
    drawn, apparent, fresh = splits.draw(size, seeds, noise), [], []
    for own, other in (halves, halves[::-1]):
        settings = TRAINING | {"batch_size": max(1, size // STEPS_AN_EPOCH)}
        both = [training.fit(HEAD, drawn, half, splits.classes, seeds, **settings).history for half in (own, other)]
        best = both[0].held_out_accuracy.argmax(axis=1)
        apparent.append(both[0].held_out_accuracy[np.arange(len(best)), best])
        fresh.append(both[1].held_out_accuracy[np.arange(len(best)), best])
    return np.mean(apparent, axis=0), np.mean(fresh, axis=0)


# ---- all techniques, each at its own best


@dataclass(frozen=True)
class Tuned:
    """A technique at the setting whose mean log loss on validation is the lowest."""

    technique: str
    settings: dict
    path: tuple  # validation log loss of each setting tried
    fit: training.Fit


def evaluate(fit, x, y):
    """Of every run: which texts are right (runs, texts), their log loss (runs, texts), calibration error (runs,)."""
    probabilities = fit.probabilities(x)
    right = probabilities.argmax(axis=2) == y
    losses = -np.log(np.clip(probabilities[:, np.arange(len(y)), y], 1e-12, None))
    return right, losses, np.array([evaluation.calibration_error(own, y) for own in probabilities])


def tune(splits, size, noise, seeds, techniques=tuple(TECHNIQUES), progress=False) -> Iterator[Tuned]:
    """Yield every technique at its best setting for training sets of this size and label noise.

    Validation alone decides, by log loss averaged over the seeds. The last one yielded is the
    head without any technique on twice the texts, if the pool has them.
    """
    unknown = set(techniques) - set(TECHNIQUES)
    if unknown:
        raise ValueError(f"techniques must be among {', '.join(TECHNIQUES)}; got {', '.join(sorted(unknown))}")
    x, y = splits.rows(splits.validation)
    for technique in tqdm(techniques, f"{size} texts, {noise:.0%} noise", disable=not progress, leave=False):
        fits = [splits.fit(size, seeds, noise, **settings) for settings in TECHNIQUES[technique]]
        path = [float(evaluate(fit, x, y)[1].mean()) for fit in fits]
        best = int(np.argmin(path))
        yield Tuned(technique, TECHNIQUES[technique][best], tuple(path), fits[best])
    if 2 * size <= len(splits.pool):
        fit = splits.fit(2 * size, seeds, noise)
        yield Tuned(TWICE_THE_DATA, {}, (float(evaluate(fit, x, y)[1].mean()),), fit)


MEASURED_BY = [training, evaluation.mean, evaluation.paired_difference, evaluate, Splits, load_splits]


@recorded(LESSON, depends_on=[*MEASURED_BY, tune])
def comparison(*, sizes=(100, 300, 800), noises=(0.0, 0.2, 0.4), seeds=tuple(range(10))):
    """Every technique, tuned on validation, on the test set: {size: {noise: {technique: row}}}, keys as text.

    A row has the setting, and the test set's accuracy, log loss and calibration error for each
    seed; with `minus nothing`, the paired differences to the head without any technique, as
    [estimate, low, high] where training sets and groups of texts are both resampled.
    """
    splits = load_splits()
    test = splits.test.open("to compare the techniques at the settings that validation chose")
    (x, y), groups = splits.rows(test), splits.groups[list(test)]
    table = {}
    for size in sizes:
        for noise in noises:
            rows = {}
            for tuned in tune(splits, size, noise, seeds, progress=True):
                right, losses, calibration = evaluate(tuned.fit, x, y)
                if tuned.technique == "nothing":
                    plain = right, losses
                differences = {
                    name: evaluation.paired_difference(own, other, clusters=groups)
                    for name, own, other in zip(("accuracy", "log loss"), (right, losses), plain, strict=True)
                }
                rows[tuned.technique] = {
                    "setting": described(tuned.settings),
                    "training accuracy": rounded(
                        tuned.fit.history.train_accuracy[np.arange(len(seeds)), tuned.fit.epochs]
                    ),
                    "accuracy": rounded(right.mean(axis=1)),
                    "log loss": rounded(losses.mean(axis=1)),
                    "calibration error": rounded(calibration),
                    "minus nothing": {n: rounded([d.estimate, d.low, d.high]) for n, d in differences.items()},
                }
            table.setdefault(str(size), {})[str(noise)] = rows
    return table


WIDGET_EPOCHS = (1, 2, 3, 4, 6, 8, 11, 15, 20, 30)


@recorded(LESSON, depends_on=MEASURED_BY)
def sweep(
    *,
    sizes=(100, 300, 1000),
    noises=(0.0, 0.2, 0.4),
    weight_decays=(0.0, 1.0, 3.0),
    dropouts=(0.0, 0.2, 0.3, 0.5, 0.7, 0.9),
    seeds=tuple(range(5)),
):
    """AdamW's weight decay and dropout, over data size and label noise, on validation.

    Returns {"cells": {"size, noise, weight_decay, dropout": cell}, "epochs": of the curves}. A
    cell has both loss curves (mean over seeds), the last epoch's training accuracy, and
    validation accuracy and log loss as [estimate, low, high].
    """
    splits = load_splits()
    (x, y), groups = splits.rows(splits.validation), splits.groups[splits.validation]
    cells, kept = {}, np.array(WIDGET_EPOCHS) - 1
    for size in tqdm(sizes, "sizes", leave=False):
        for noise in noises:
            for decay in weight_decays:
                for dropout in dropouts:
                    fit = splits.fit(size, seeds, noise, weight_decay=decay, dropout=dropout)
                    right, losses, _ = evaluate(fit, x, y)
                    scores = [evaluation.mean(own, clusters=groups) for own in (right, losses)]
                    cells[cell(size, noise, decay, dropout)] = {
                        "training loss": rounded(fit.history.train_loss.mean(axis=0)[kept]),
                        "held-out loss": rounded(fit.history.held_out_loss.mean(axis=0)[kept]),
                        "training accuracy": rounded([fit.history.train_accuracy[:, -1].mean()])[0],
                        "accuracy": rounded([scores[0].estimate, scores[0].low, scores[0].high]),
                        "log loss": rounded([scores[1].estimate, scores[1].low, scores[1].high]),
                    }
    return {"cells": cells, "epochs": list(WIDGET_EPOCHS)}


@recorded(LESSON, depends_on=[training, evaluate, Splits, load_splits])
def decay_path(
    *,
    sizes=(100, 300, 1000),
    decays=(0.0, 1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
    seeds=tuple(range(5)),
):
    """The same `weight_decay` given to AdamW and to Adam, on clean labels, validation.

    Returns {optimizer: {"size, decay": {"log loss", "accuracy", "training accuracy": a seed each, "norm": mean}}}.
    """
    splits, paths = load_splits(), {"adamw": {}, "adam": {}}
    x, y = splits.rows(splits.validation)
    for size in tqdm(sizes, "sizes", leave=False):
        for optimizer, path in paths.items():
            for decay in decays:
                fit = splits.fit(size, seeds, optimizer=optimizer, weight_decay=decay)
                right, losses, _ = evaluate(fit, x, y)
                path[f"{size}, {decay}"] = {
                    "log loss": rounded(losses.mean(axis=1)),
                    "accuracy": rounded(right.mean(axis=1)),
                    "training accuracy": rounded(fit.history.train_accuracy[:, -1]),
                    "norm": round(math.sqrt(sum(float((weight**2).sum()) for weight, _ in fit.layers) / len(seeds)), 3),
                }
    return paths


@recorded(LESSON, depends_on=[training, Splits, load_splits])
def long_training(*, width=512, size=300, noise=0.2, epochs=400, seeds=tuple(range(5))):
    """A wide head trained far beyond memorising its wrong labels: is there a second descent?

    Returns the epochs kept (log-spaced, from 1) and, for each, mean training accuracy, and
    validation accuracy and loss of each seed.
    """
    history = load_splits().fit(size, seeds, noise, head=training.Head(width), epochs=epochs, progress=True).history
    kept = np.unique(np.geomspace(1, epochs, 25).round().astype(int))
    return {
        "epochs": kept.tolist(),
        "training accuracy": rounded(history.train_accuracy.mean(axis=0)[kept - 1]),
        "accuracy": [rounded(row) for row in history.held_out_accuracy[:, kept - 1]],
        "log loss": [rounded(row) for row in history.held_out_loss[:, kept - 1]],
    }


def cell(size, noise, weight_decay, dropout):
    """The key of a cell of `sweep`."""
    return f"{size}, {noise}, {weight_decay}, {dropout}"


def described(settings):
    """Settings of `fit` in words, such as `dropout 0.3`."""
    words = []
    for name, value in settings.items():
        patient = isinstance(value, EarlyStopper)
        words.append(f"patience {value.patience}" if patient else f"{name.replace('_', ' ')} {value}")
    return ", ".join(words) or "–"


def rounded(values, digits=4):
    """A list of plain floats, as JSON keeps them."""
    return [round(float(value), digits) for value in values]


def main(arguments=None):
    parser = argparse.ArgumentParser("python -m helpers.regularization", description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=300, help="training texts (default 300)")
    parser.add_argument("--noise", type=float, default=0.0, help="share of wrong training labels (default 0)")
    parser.add_argument("--seeds", type=int, default=5, help="training sets and seeds (default 5)")
    parser.add_argument("--open-test", action="store_true", help="score on the test set, not on validation")
    chosen = parser.parse_args(arguments)
    if chosen.seeds < 1:
        parser.error(f"--seeds must be at least 1, got {chosen.seeds}")
    splits = load_splits()
    rows, groups = splits.validation, splits.groups
    if chosen.open_test:
        rows = list(splits.test.open("from the terminal"))
    x, y = splits.rows(rows)
    print(f"{'technique':20} {'accuracy':>8} {'minus nothing':>24} {'log loss':>9} {'ECE':>5}  setting")
    plain = None
    try:
        for tuned in tune(splits, chosen.size, chosen.noise, range(chosen.seeds), progress=True):
            right, losses, calibration = evaluate(tuned.fit, x, y)
            plain = right if plain is None else plain
            difference = evaluation.paired_difference(right, plain, clusters=groups[rows])
            tqdm.write(
                f"{tuned.technique:20} {right.mean():8.3f} {difference!s:>24} {losses.mean():9.3f} "
                f"{calibration.mean():5.2f}  {described(tuned.settings)}"
            )
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
