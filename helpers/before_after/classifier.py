"""The small head that says which library a sentence is about: before and after, with the same steps for every seed."""

from functools import lru_cache

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from .. import evaluation, training
from ..assistant import corpus, models
from ..training import EarlyStopper

HEAD = training.Head(width=128)
EPOCHS, LEARNING_RATE, STEPS_AN_EPOCH = 30, 2e-3, 20  # as in lesson 02
LABELS = 1_000
STEPS = {  # those that lesson 02 ends with
    "early stopping": {"early_stopping": EarlyStopper(patience=5)},
    "weight decay": {"weight_decay": 1.0},
    "all labels": {},
}
GUIDE = {  # the guide's recipe: its penalty, its dropout, its stopper, which keeps the last weights
    "optimizer": "adam", "weight_decay": 0.01, "dropout": 0.3,
    "early_stopping": EarlyStopper(5, min_delta=0.001, restore_best=False),
}  # fmt: skip


@lru_cache(maxsize=1)
def parts():
    """(vectors, labels, groups, rows): the library labels, and rows by what they are for.

    rows: {"pool": to train on, "stop": to stop by, "development": to score, "test": closed}. No class or module is
    in two of them. The test fifth is the one that lesson 02 closed.
    """
    labelled = corpus.library_labels()
    labels, groups = np.array(labelled.labels), np.array(labelled.groups)
    fifths = [rows for _, rows in StratifiedGroupKFold(5, shuffle=True, random_state=0).split(labels, labels, groups)]
    test, validation, *pool = fifths
    halves = StratifiedGroupKFold(2, shuffle=True, random_state=0).split(
        validation, labels[validation], groups[validation]
    )
    first, second = next(halves)
    rows = {"pool": np.concatenate(pool), "stop": validation[first], "development": validation[second], "test": test}
    return models.embed(labelled.texts), labels, groups, rows


def fitted(plan, seeds, recipe=None):
    """Heads trained under a plan, one a seed: (`training.Fit`, training texts).

    plan: names of `STEPS`. recipe: settings of `training.fit` in place of the plan's. Each seed draws its own
    `LABELS` training texts from the pool, or has all of them in its own order. Raises ValueError for an unknown step.
    """
    unknown = sorted(set(plan) - set(STEPS))
    if unknown:
        raise ValueError(f"plan has the unknown step {unknown[0]!r}; the steps are {', '.join(STEPS)}")
    vectors, labels, _, rows = parts()
    size = len(rows["pool"]) if "all labels" in plan else LABELS
    drawn = training.draw_training_sets(vectors[rows["pool"]], labels[rows["pool"]], size, seeds)
    settings = recipe if recipe is not None else {key: value for name in plan for key, value in STEPS[name].items()}
    fit = training.fit(
        HEAD, drawn, (vectors[rows["stop"]], labels[rows["stop"]]), len(corpus.LIBRARIES), seeds, epochs=EPOCHS,
        learning_rate=LEARNING_RATE, batch_size=size // STEPS_AN_EPOCH, **settings,
    )  # fmt: skip
    return fit, drawn


def scored(plan, seeds, part="development", recipe=None):
    """How each seed's head does on each text: {"right", "loss": (seeds, texts), "gap": (seeds,)}.

    The gap is training minus held-out accuracy, of the weights that are kept.
    """
    vectors, labels, _, rows = parts()
    fit, (own_x, own_y) = fitted(plan, seeds, recipe)
    probabilities, truth = fit.probabilities(vectors[rows[part]]), labels[rows[part]]
    right = probabilities.argmax(axis=2) == truth
    loss = -np.log(probabilities[:, np.arange(len(truth)), truth].clip(1e-12))
    inside = np.array([
        (fit.probabilities(own_x[run])[run].argmax(axis=1) == own_y[run]).mean() for run in range(len(own_x))
    ])  # fmt: skip
    return {"right": right, "loss": loss, "gap": inside - right.mean(axis=1)}


def groups_of(part="development"):
    """The class or module of each text: what `evaluation.mean` must resample together."""
    _, _, groups, rows = parts()
    return groups[rows[part]]


def summary(scores, part="development"):
    """Accuracy, log loss and gap with their intervals: three `evaluation.Interval`s by name.

    Training sets and texts are resampled together, texts by class or module; the gap's interval is over the seeds.
    """
    clusters = groups_of(part)
    return {
        "accuracy": evaluation.mean(scores["right"].astype(float), clusters=clusters),
        "log loss": evaluation.mean(scores["loss"], clusters=clusters),
        "gap": evaluation.over_seeds(scores["gap"]),
    }


RECIPES = {  # of the final comparison: (steps, recipe in their place)
    "before": ((), None),
    "guide": ((), GUIDE),
    "after": (("weight decay", "all labels"), None),  # chosen on development texts: see the lesson
}


def compared(seeds, part="development"):
    """Before, the guide's recipe (both on `LABELS` texts) and after: {recipe: {metric: [estimate, low, high]}}.

    With "after − before" and "after − guide", which is a difference of recipe and of labels.
    """
    scores = {name: scored(plan, seeds, part, recipe) for name, (plan, recipe) in RECIPES.items()}
    table = {name: {m: _listed(i) for m, i in summary(found, part).items()} for name, found in scores.items()}
    for name, other in (("after − before", "before"), ("after − guide", "guide")):
        found = differences(scores["after"], scores[other], part)
        table[name] = {metric: _listed(interval) for metric, interval in found.items()}
    return table


def differences(scores, others, part="development"):
    """Paired differences of accuracy, log loss and gap: three `evaluation.Interval`s by name."""
    clusters = groups_of(part)
    return {
        "accuracy": evaluation.paired_difference(scores["right"], others["right"], clusters=clusters),
        "log loss": evaluation.paired_difference(scores["loss"], others["loss"], clusters=clusters),
        "gap": evaluation.over_seeds(scores["gap"] - others["gap"]),
    }


def at_equal_labels(seeds, part="development"):
    """After minus the guide's recipe, both with all labels: {metric: [estimate, low, high]}."""
    after, guide = scored(RECIPES["after"][0], seeds, part), scored(("all labels",), seeds, part, GUIDE)
    return {metric: _listed(interval) for metric, interval in differences(after, guide, part).items()}


def in_orders(seeds, part="development"):
    """What each step of the head is worth in two orders: {order: {step: {metric: [estimate, low, high]}}}."""
    scores, found = {}, {}
    for order, steps in (("forward", tuple(STEPS)), ("backward", tuple(STEPS)[::-1])):
        for count, step in enumerate(steps):
            plans = [frozenset(steps[:count]), frozenset(steps[: count + 1])]
            for plan in plans:
                if plan not in scores:
                    scores[plan] = scored([name for name in STEPS if name in plan], seeds, part)
            effects = differences(*(scores[plan] for plan in reversed(plans)), part)
            found.setdefault(order, {})[step] = {metric: _listed(effect) for metric, effect in effects.items()}
    return found


def ensemble(seeds, part="development"):
    """The mean probabilities of all seeds' heads against one head: differences by metric, `evaluation.Interval`s.

    Each seed has the same training texts in its own order and its own starting weights.
    """
    vectors, labels, _, rows = parts()
    fit, _ = fitted(RECIPES["after"][0], seeds)
    each, truth, clusters = fit.probabilities(vectors[rows[part]]), labels[rows[part]], groups_of(part)
    both, chosen = each.mean(axis=0), np.arange(len(truth))
    right = (both.argmax(axis=1) == truth) - (each.argmax(axis=2) == truth).mean(axis=0)
    loss = -np.log(both[chosen, truth]) + np.log(each[:, chosen, truth]).mean(axis=0)
    found = {"accuracy": right, "log loss": loss}
    return {name: evaluation.mean(value, clusters=clusters) for name, value in found.items()}


def _listed(interval):
    return [round(value, 5) for value in (interval.estimate, interval.low, interval.high)]
