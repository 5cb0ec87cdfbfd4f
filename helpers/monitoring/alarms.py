"""Overfitting alarms, scored on many training runs whose truth is known from texts that no alarm has seen."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.neighbors import KNeighborsClassifier
from tqdm.auto import tqdm

from .. import evaluation, training
from ..assistant import corpus, models
from ..course.results import recorded

LESSON = "08_monitoring"
HEAD = training.Head(width=128)
TRAINING = {"epochs": 30, "learning_rate": 2e-3}
STEPS_AN_EPOCH = 20
TOLERANCE = 0.02  # a loss of accuracy that is worth an alarm

# How a run is trained, and its twin: the same texts, labels and starting weights with more regularization.
SETTINGS = {
    "nothing": ({}, {"dropout": 0.5}),
    "few epochs": ({"epochs": 6}, {"epochs": 6, "dropout": 0.5}),
    "dropout": ({"dropout": 0.7}, {"dropout": 0.9}),
    "weight decay": ({"weight_decay": 3.0}, {"weight_decay": 10.0}),
}


# Everyday classifiers, each a function of a seed.
EVERYDAY = {
    "constant": lambda seed: DummyClassifier(strategy="constant", constant=seed),  # another library for each seed
    "logistic, C = 0.01": lambda seed: LogisticRegression(C=0.01),
    "logistic, C = 1": lambda seed: LogisticRegression(C=1),
    "logistic, C = 10": lambda seed: LogisticRegression(C=10),
    "nearest neighbour": lambda seed: KNeighborsClassifier(1),
    "random forest": lambda seed: RandomForestClassifier(100, random_state=seed),
}


@dataclass(frozen=True)
class Texts:
    """Labelled texts as vectors. No class or module has texts in more than one of the three parts.

    vectors: float32 (texts, 384). labels, groups: (texts,). pool: rows to train on. monitor: rows
    that alarms may look at. judge: rows that say afterwards whether the alarm was right.
    """

    vectors: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    classes: int
    pool: np.ndarray
    monitor: np.ndarray
    judge: np.ndarray

    def rows(self, chosen):
        """(vectors, labels) of these rows."""
        return self.vectors[chosen], self.labels[chosen]

    def draw(self, size, seeds, noises=0.0):
        """A training set for each seed from the pool, with a share of wrong labels for each: (x, y)."""
        noises = np.broadcast_to(noises, len(seeds))
        drawn = [
            training.draw_training_sets(*self.rows(self.pool), size, [seed], noise)
            for seed, noise in zip(seeds, noises, strict=True)
        ]
        return tuple(np.concatenate(part) for part in zip(*drawn, strict=True))

    def fit(self, size, seeds, noises=0.0, **settings):
        """Train a head for each seed and follow the monitor's texts: a `training.Fit`."""
        settings = TRAINING | {"batch_size": max(1, size // STEPS_AN_EPOCH)} | settings
        return training.fit(
            HEAD, self.draw(size, seeds, noises), self.rows(self.monitor), self.classes, seeds, **settings
        )


@lru_cache(maxsize=1)
def load_texts():
    """The library labels: a fifth to monitor, two fifths to judge, the rest to train on."""
    labelled = corpus.library_labels()
    labels, groups = np.array(labelled.labels), np.array(labelled.groups)
    vectors = models.embed(labelled.texts)
    fifths = StratifiedGroupKFold(5, shuffle=True, random_state=1).split(vectors, labels, groups)
    folds = [rows for _, rows in fifths]
    # Folds that one large module fills are for training: what measures should not hang on one module.
    monitor, judge_1, judge_2, *pool = sorted(
        folds, key=lambda rows: np.unique(groups[rows], return_counts=True)[1].max()
    )
    judge = np.concatenate([judge_1, judge_2])
    return Texts(vectors, labels, groups, len(labelled.classes), np.concatenate(pool), monitor, judge)


def right_answers(fit, x, y):
    """Which texts each run gets right: bool (runs, texts)."""
    return fit.probabilities(x).argmax(axis=2) == y


def train_and_judge(texts, size, noises, setting, seeds):
    """Train a run for each seed, its checkpoint and its twin, and measure what alarms read and what is true.

    Returns a list of dicts, one a run. What alarms read comes from the training texts and the
    monitor's: `train`, `monitor` (accuracy after the last epoch), `best monitor` (its highest),
    `loss rise` (monitor loss above its lowest), `drop` (checkpoint minus last on the monitor:
    [estimate, low, high]; classes and modules resampled). The checkpoint is the epoch of the
    monitor's lowest loss. The truth comes from the judge's texts: accuracy of `last`, `checkpoint`, `twin`.
    """
    own, more = SETTINGS[setting]
    stopper = training.EarlyStopper(TRAINING["epochs"])  # never stops, keeps the best epoch's weights
    last = texts.fit(size, seeds, noises, **own)
    kept = texts.fit(size, seeds, noises, early_stopping=stopper, **own)
    twin = texts.fit(size, seeds, noises, **more)
    on_monitor = [right_answers(fit, *texts.rows(texts.monitor)) for fit in (last, kept)]
    on_judge = [right_answers(fit, *texts.rows(texts.judge)).mean(axis=1) for fit in (last, kept, twin)]
    curves, clusters, rows = last.history, texts.groups[texts.monitor], []
    for run, (seed, noise) in enumerate(zip(seeds, np.broadcast_to(noises, len(seeds)), strict=True)):
        drop = evaluation.paired_difference(on_monitor[1][run], on_monitor[0][run], resamples=2000, clusters=clusters)
        loss, accuracy = curves.held_out_loss[run], curves.held_out_accuracy[run]
        row = {
            "train": curves.train_accuracy[run, -1],
            "monitor": accuracy[-1],
            "best monitor": accuracy.max(),
            "loss rise": loss[-1] - loss.min(),
            "last": on_judge[0][run],
            "checkpoint": on_judge[1][run],
            "twin": on_judge[2][run],
        }
        rows.append(
            {"size": size, "noise": float(noise), "setting": setting, "seed": int(seed)}
            | {name: round(float(value), 4) for name, value in row.items()}
            | {"drop": [round(value, 4) for value in (drop.estimate, drop.low, drop.high)]}
        )
    return rows


@recorded(LESSON, depends_on=[training, evaluation.paired_difference, Texts, load_texts, train_and_judge])
def runs(*, sizes=(100, 300, 900), noises=(0.0, 0.2, 0.4), settings=tuple(SETTINGS), each=10):
    """`each` training runs of every size, share of wrong labels and setting: {"runs": list of dicts}.

    Every run has a seed of its own, so no two share a training set.
    """
    texts, rows = load_texts(), []
    for s, size in enumerate(tqdm(sizes, "sizes", leave=False)):
        for k, setting in enumerate(tqdm(settings, "settings", leave=False)):
            seeds = [1000 * s + 100 * k + i for i in range(each * len(noises))]
            rows += train_and_judge(texts, size, np.repeat(noises, each), setting, seeds)
    return {"runs": rows}


# ---- reading the runs


def as_table(rows):
    """The recorded runs as a DataFrame, with what alarms read and what is true.

    gap: training minus monitor accuracy. drop, drop low: how much better the checkpoint is than the last
    weights, on the monitor, and the lower end of its 95 % interval. fall: the same on the judge's texts.
    twin gain: what more regularization brought, on the judge's texts.
    """
    table = pd.DataFrame(rows)
    table["drop low"] = [low for _, low, _ in table["drop"]]
    table["drop"] = [estimate for estimate, _, _ in table["drop"]]
    table["gap"] = table["train"] - table["monitor"]
    table["below best"] = table["best monitor"] - table["monitor"]
    table["fall"] = table["checkpoint"] - table["last"]
    table["twin gain"] = table["twin"] - table["last"]
    return table


def rules(table):
    """{rule: in which runs it rings, bool (runs,)}: the guide's thresholds, two usual rules, and ours."""
    return {
        "gap above 15 points": (table["gap"] > 0.15).to_numpy(),
        "gap above 10 points": (table["gap"] > 0.10).to_numpy(),
        "gap above 5 points": (table["gap"] > 0.05).to_numpy(),
        "gap above 2 points": (table["gap"] > 0.02).to_numpy(),
        "validation loss rose": (table["loss rise"] > 0.05).to_numpy(),
        "2 points below its best": (table["below best"] > TOLERANCE).to_numpy(),
        "checkpoint 2 points better": (table["drop"] > TOLERANCE).to_numpy(),
        "checkpoint surely better": (table["drop low"] > 0).to_numpy(),
    }


def scored(ringing, true):
    """Of one rule: {"rings", "false_alarms", "misses", "right"}, each with Wilson's interval.

    ringing, true: bool arrays (runs,). What cannot be said, such as the misses where nothing is true, is left out.
    """
    parts = {
        "rings": ringing,
        "false_alarms": ringing[~true],
        "misses": ~ringing[true],
        "right": true[ringing],
    }
    return {name: evaluation.accuracy(part) for name, part in parts.items() if len(part)}


def right_by_noise(table, rules_by_name, true):
    """Share of each rule's rings that were right, by the share of wrong labels: a DataFrame (rules, shares)."""
    columns = {}
    for noise, rows in table.groupby("noise").groups.items():
        columns[f"right, {noise:.0%} wrong labels"] = {
            name: true[rows][ringing[rows]].mean() for name, ringing in rules_by_name.items() if ringing[rows].any()
        }
    return pd.DataFrame(columns)


def ranking(table, fallen, least=5):
    """How well the gap and the checkpoint's lead rank fallen runs above sound ones: the area under the ROC curve.

    Returns (over all runs {"gap", "checkpoint"}, a DataFrame with a row for each share of wrong labels
    and size in which at least `least` runs have fallen and as many have not).
    """

    def areas(rows):
        return {"gap": roc_auc_score(fallen[rows], table["gap"][rows]),
                "checkpoint": roc_auc_score(fallen[rows], table["drop"][rows])}  # fmt: skip

    found = {}
    for (noise, size), rows in table.groupby(["noise", "size"]).groups.items():
        if least <= fallen[rows].sum() <= len(rows) - least:
            found[f"{noise:.0%} wrong labels, {size} texts"] = areas(rows)
    return areas(table.index), pd.DataFrame(found).T


def model_gaps(texts, models_by_name, size, seeds):
    """Training accuracy and judge accuracy of any scikit-learn classifier: {name: float (seeds, 2)}.

    models_by_name: {name: function of a seed that returns an unfitted classifier}.
    """
    drawn, judge = list(zip(*texts.draw(size, seeds), strict=True)), texts.rows(texts.judge)
    found = {}
    for name, make in models_by_name.items():
        fitted = [make(seed).fit(x, y) for seed, (x, y) in zip(seeds, drawn, strict=True)]
        found[name] = np.array([[m.score(x, y), m.score(*judge)] for m, (x, y) in zip(fitted, drawn, strict=True)])
    return found


def widths(texts, size, units, seeds, ridge):
    """Judge accuracy of least squares on `units` random ReLU features, a number for each seed: float (units, seeds).

    ridge: penalty, times the number of units; 0 for the least-norm solution.
    Source: Belkin et al. 2019; Nakkiran et al. 2021.
    """
    judge_x, judge_y = texts.rows(texts.judge)
    scores = np.zeros((len(units), len(seeds)))
    for column, (seed, x, y) in enumerate(zip(seeds, *texts.draw(size, seeds), strict=True)):
        for row, width in enumerate(units):
            drawn = np.random.default_rng(seed).normal(size=(x.shape[1], width))
            features, held = np.maximum(x @ drawn, 0), np.maximum(judge_x @ drawn, 0)
            targets = np.eye(texts.classes)[y]
            weights = (
                np.linalg.pinv(features) @ targets
                if ridge == 0
                else features.T @ np.linalg.solve(features @ features.T + ridge * width * np.eye(size), targets)
            )
            scores[row, column] = ((held @ weights).argmax(axis=1) == judge_y).mean()
    return scores


def guides_verdict(gap):
    """What the guide's `check_overfitting` says of a gap, without its symbols."""
    return "OVERFITTING DETECTED" if gap > 0.15 else "SLIGHT OVERFITTING" if gap > 0.05 else "GOOD GENERALIZATION"


def shift(penalties, seeds, train_size=400):
    """A topic classifier on numpy's and scipy's texts, scored on others of theirs and on torch's.

    Texts are split at random, as most people do it. Returns (accuracy (penalties, seeds, 3) on
    training, held-out and torch's texts; (held-out vectors, torch's vectors) of the first seed).
    """
    labelled = corpus.topic_labels()
    vectors, labels = models.embed(labelled.texts), np.array(labelled.labels)
    new = np.array(labelled.libraries) == "torch"
    scores = np.zeros((len(penalties), len(seeds), 3))
    for column, seed in enumerate(seeds):
        shuffled = np.random.default_rng(seed).permutation(np.flatnonzero(~new))
        parts = shuffled[:train_size], shuffled[train_size:], np.flatnonzero(new)
        if column == 0:
            seen = vectors[parts[1]], vectors[parts[2]]
        for row, c in enumerate(penalties):
            fitted = LogisticRegression(C=c, max_iter=1000).fit(vectors[parts[0]], labels[parts[0]])
            scores[row, column] = [fitted.score(vectors[part], labels[part]) for part in parts]
    return scores, seen


def new_modules(seeds, penalty=10, folds=4):
    """The topic classifier on whole classes and modules that it has not seen, of the libraries that it has: accuracy.

    Counts the texts whose topic keeps at least half of its texts in training; where a topic's only
    module is held out, there is nothing to know it from.
    """
    labelled = corpus.topic_labels()
    home = np.array(labelled.libraries) != "torch"
    vectors, labels, groups = (
        part[home] for part in (models.embed(labelled.texts), np.array(labelled.labels), np.array(labelled.groups))
    )
    right = []
    for seed in seeds:
        for train, held in StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(vectors, labels, groups):
            kept = np.bincount(labels[train], minlength=len(labelled.classes)) / np.bincount(labels)
            held = held[kept[labels[held]] >= 0.5]
            fitted = LogisticRegression(C=penalty, max_iter=1000).fit(vectors[train], labels[train])
            right.append(fitted.predict(vectors[held]) == labels[held])
    return float(np.concatenate(right).mean())


def tuned_on_few(probabilities, questions, trials, seed=0):
    """Tune on a few questions, score on the others: (apparent, fresh) scores, float arrays (trials,).

    probabilities: float (settings, all questions), how likely each setting answers each question right.
    The best setting of `questions` drawn ones is scored on those and on the rest.
    """
    apparent, fresh = np.zeros(trials), np.zeros(trials)
    for trial in range(trials):
        shuffled = np.random.default_rng([seed, trial]).permutation(probabilities.shape[1])
        few, others = probabilities[:, shuffled[:questions]], probabilities[:, shuffled[questions:]]
        best = few.mean(axis=1).argmax()
        apparent[trial], fresh[trial] = few[best].mean(), others[best].mean()
    return apparent, fresh
