"""What each step is worth: one after the other in any order, and on average over all orders."""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from scipy import stats

from .. import evaluation
from ..assistant import corpus
from . import recorded, system
from .system import STEPS

FORWARD = tuple(STEPS)
BACKWARD = FORWARD[::-1]


def design(questions):
    """What `evaluation.mean` must know of these questions: halves fixed by design, and questions about one class."""
    return {
        "strata": np.array([question.usual for question in questions]),
        "clusters": np.array([corpus.by_name()[question.source].group for question in questions]),
    }


@lru_cache(maxsize=256)
def chances(plan, family="described"):
    """Probability of a right answer to each development question under a plan: float (questions,).

    What the language model writes is recorded (`recorded.generation`); what is read is read here.
    """
    written = recorded.generated(plan, family)
    if "read" not in plan:
        return written
    return system.overlaid(written, system.read(plan, corpus.load_questions(family, "development")))


@dataclass(frozen=True)
class Step:
    """A step in an order: what was right before it and after it on average, and its paired effect."""

    name: str
    before: float
    after: float
    effect: evaluation.Interval


def _design(family):
    return design(corpus.load_questions(family, "development"))


def in_order(order, family="described", score=chances):
    """The effects of the steps, each on top of those before it: a list of `Step`.

    order: names of steps. score: function of (plan, family) giving float (questions,).
    Raises ValueError for a step that is unknown or stands there twice.
    """
    if len(set(order)) != len(order):
        raise ValueError(f"order must name each step once, got {', '.join(order)}")
    system.checked(order)
    plan, steps = frozenset(), []
    for name in order:
        before, plan = score(plan, family), plan | {name}
        after = score(plan, family)
        effect = evaluation.paired_difference(after, before, **_design(family))
        steps.append(Step(name, float(before.mean()), float(after.mean()), effect))
    return steps


def over_all_orders(family="described", steps=FORWARD, score=chances):
    """Each step's effect on average over all orders, and in the least and the most favourable one.

    Returns {step: (evaluation.Interval, least, most)}. The averages add up to the whole effect.
    Source: Shapley 1953, A Value for n-Person Games; Lundberg & Lee 2017.
    """
    found, size = {}, len(steps)
    for name in steps:
        others = [other for other in steps if other != name]
        total, effects = 0.0, []
        for count in range(size):
            weight = math.factorial(count) * math.factorial(size - count - 1) / math.factorial(size)
            for chosen in map(frozenset, combinations(others, count)):
                effect = score(chosen | {name}, family) - score(chosen, family)
                total = total + weight * effect
                effects.append(float(effect.mean()))
        found[name] = evaluation.mean(total, **_design(family)), min(effects), max(effects)
    return found


def judged(plan, questions):
    """What a plan is worth beyond one accuracy, on these questions: {measure: float}.

    recall@1, @3, @10; right answers; the share of these that rest on the right document; right answers where the
    default is not the usual one for its name.
    """
    ranks, right = recorded.ranks(plan, questions), system.chances(plan, questions)
    unusual = np.array([not question.usual for question in questions])
    recall = {f"recall@{k}": float(((ranks >= 1) & (ranks <= k)).mean()) for k in (1, 3, 10)}
    return recall | {
        "right": float(right.mean()),
        "from the right document": float((right * (ranks == 1)).sum() / right.sum()),
        "unusual defaults": float(right[unusual].mean()),
    }


def questions_needed(before, after, power=0.8, level=0.05):
    """How many questions each of two independent samples needs to see this difference of shares: a float.

    By the normal approximation, two-sided. Raises ValueError if the shares are equal.
    Source: Fleiss, Levin & Paik 2003, Statistical Methods for Rates and Proportions, ch. 4.
    """
    if before == after:
        raise ValueError(f"before and after are both {before}: no number of questions shows a difference")
    z = stats.norm.ppf(1 - level / 2) + stats.norm.ppf(power)
    return float(z**2 * (before * (1 - before) + after * (1 - after)) / (after - before) ** 2)
