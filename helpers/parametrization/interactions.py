"""One setting at a time against all at once, and what each change is worth in every order."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np


@dataclass(frozen=True)
class Chosen:
    """What a search chose, its score, and how many settings it scored."""

    settings: dict
    score: float
    scored: int


def one_at_a_time(score: Callable, options, start, order=None):
    """The guide's step 4: go through the settings once, keep each one's best value and go on. A `Chosen`.

    score: function of the settings as keywords. options: {setting: values}. start: {setting: value} to begin
    with. order: of the settings; as `options` has them if None. Raises ValueError for an unknown setting.
    """
    order = _checked(options, start, order)
    settings, best, scored = dict(start), score(**start), 1
    for name in order:
        for value in options[name]:
            if value == settings[name]:
                continue
            trial, scored = score(**settings | {name: value}), scored + 1
            if trial > best:
                best, settings = trial, settings | {name: value}
    return Chosen(settings, best, scored)


def jointly(score: Callable, options):
    """Every combination: a `Chosen`. The first of equally good ones."""
    grid = [dict(zip(options, values, strict=True)) for values in product(*options.values())]
    scores = [score(**settings) for settings in grid]
    best = int(np.argmax(scores))
    return Chosen(grid[best], scores[best], len(grid))


def at_random(table, trials, draws=5_000, seed=0):
    """The best of `trials` different cells of a table of scores, drawn at random: float (draws,)."""
    scores, rng = np.ravel(table), np.random.default_rng(seed)
    return np.array([scores[rng.permutation(len(scores))[:trials]].max() for _ in range(draws)])


def ablations(score: Callable, before, after):
    """What each change from `before` to `after` adds, in every order: {order: {setting: gain}}.

    The gains of an order add up to the same whole; a setting's gain depends on what was changed before it.
    """
    names = [name for name in after if after[name] != before[name]]
    found, known = {}, {}

    def scored(changed):
        if changed not in known:
            known[changed] = score(**before | {name: after[name] for name in changed})
        return known[changed]

    for order in permutations(names):
        steps = [frozenset(order[:i]) for i in range(len(order) + 1)]
        found[order] = {name: scored(b) - scored(a) for name, a, b in zip(order, steps[:-1], steps[1:], strict=True)}
    return found


def halves(clusters, seed=0):
    """Two halves of the questions by class or module asked about: two bool arrays (questions,)."""
    names = np.random.default_rng(seed).permutation(np.unique(clusters))
    sizes = np.array([(clusters == name).sum() for name in names])
    first = np.isin(clusters, names[sizes.cumsum() <= len(clusters) / 2])
    return first, ~first


def choose_and_score(right: Callable, clusters, choose: Callable):
    """Choose on one half of the questions and score on the other, then swapped: (scores, the two `Chosen`).

    right: function of the settings giving a score for each question, float (questions,). choose: function of a
    `score`, such as `lambda score: jointly(score, options)`. The scores returned are those of questions that did
    not choose, float (questions,).
    """
    scores, chosen = np.zeros(len(clusters)), []
    for own in halves(clusters):
        best = choose(_mean_over(right, own))
        scores[~own] = right(**best.settings)[~own]
        chosen.append(best)
    return scores, chosen


def _mean_over(right, own):
    def score(**settings):
        return float(right(**settings)[own].mean())

    return score


def _checked(options, start, order):
    order = tuple(options) if order is None else tuple(order)
    unknown = (set(order) | set(start)) - set(options)
    if unknown or set(start) != set(options):
        raise ValueError(f"order and start must name the settings {', '.join(options)}; got {order} and {start}")
    return order
