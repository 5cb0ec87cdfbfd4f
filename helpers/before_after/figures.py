"""The lesson's figures and its widget. Every function takes data and returns a Figure or a widget."""

from itertools import cycle

import matplotlib as mpl
import numpy as np

from .. import evaluation, plots
from ..course import widgets
from . import ablation, system


def orders(forward, backward, average, title):
    """What each step is worth in two orders, and on average over all orders with its interval.

    forward, backward: lists of `ablation.Step`. average: {step: (Interval, least, most)}, as `over_all_orders` gives
    it; the thin line goes from the least favourable order to the most favourable one.
    """
    made, axis = plots.figure(title, width=9, height=1.4 + 0.62 * len(average))
    effects = {"forward": {s.name: s.effect for s in forward}, "backward": {s.name: s.effect for s in backward}}
    with mpl.rc_context(plots.STYLE):
        axis.axvline(0, color="0.4", linestyle="--", linewidth=1.5)
        for place, (name, (mean, least, most)) in enumerate(average.items()):
            first = place == 0
            axis.plot([100 * least, 100 * most], [place] * 2, color="0.75", linewidth=1.5, zorder=1,
                      label="from the least to the most favourable order" if first else None)  # fmt: skip
            axis.plot([100 * mean.low, 100 * mean.high], [place] * 2, color=plots.COLOURS[0], linewidth=4, zorder=2,
                      label="average over all orders, 95 % interval" if first else None)  # fmt: skip
            axis.plot(100 * mean.estimate, place, "o", color=plots.COLOURS[0], markersize=10, zorder=3)
            for (order, found), marker, colour in zip(effects.items(), (">", "<"), plots.COLOURS[1:], strict=False):
                axis.plot(100 * found[name].estimate, place, marker, color=colour, markersize=9, zorder=4, mec="white",
                          label=f"in {order} order" if first else None)  # fmt: skip
        axis.set_yticks(range(len(average)), list(average))
        axis.invert_yaxis()
        axis.set_xlabel("right answers to described questions, change in points")
        axis.legend(loc="upper center", bbox_to_anchor=(0.4, -0.2), ncols=2, fontsize=11)
    return made


def in_points(rows, title, xlabel):
    """`plots.differences` in points: rows are {name: Interval} of shares, hollow where the interval includes zero."""
    scaled = {n: evaluation.Interval(*(100 * x for x in (i.estimate, i.low, i.high))) for n, i in rows.items()}
    return plots.differences(scaled, title, f"{xlabel}, points (hollow: interval includes 0)")


def front(latencies, scores, title, budget=None):
    """Right answers against the time of a request, and the Pareto front: what nothing else beats in both.

    latencies: {configuration: time over the reference's}. scores: {configuration: `evaluation.Interval`}. budget: a
    time that may not be exceeded, drawn as a line.
    """
    made, axis = plots.figure(title, width=9.5, height=5)
    best = pareto(latencies, {name: score.estimate for name, score in scores.items()})
    with mpl.rc_context(plots.STYLE):
        corners = [latencies[n] for n in best], [scores[n].estimate for n in best]
        axis.plot(*corners, color="0.6", linestyle=":", zorder=1, drawstyle="steps-post", label="Pareto front")
        for (name, x), marker in zip(latencies.items(), cycle((*plots.MARKERS, "*", "h")), strict=False):
            score, on_front = scores[name], name in best
            colour = plots.COLOURS[0] if on_front else plots.COLOURS[1]
            axis.plot([x, x], [score.low, score.high], color=colour, linewidth=1.5)
            axis.plot(x, score.estimate, marker, color=colour, markersize=10, mfc=colour if on_front else "white",
                      linestyle="none", label=name)  # fmt: skip
        if budget:
            axis.axvline(budget, color="0.3", linestyle="--")
        axis.set(xscale="log", ylim=(0, 1), xlabel="time of a request, times lesson 00's (log scale)",
                 ylabel="right answers, described questions")  # fmt: skip
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=11)
    return made


def pareto(latencies, scores):
    """Names on the Pareto front, quickest first: nothing is as quick and better, nor as good and quicker.

    latencies, scores: {name: float}; lower and higher is better. Raises ValueError if they name different things.
    """
    if set(latencies) != set(scores):
        raise ValueError(f"latencies and scores must name the same things; only one has {set(latencies) ^ set(scores)}")
    front, best = [], -np.inf
    for name in sorted(latencies, key=lambda n: (latencies[n], -scores[n])):
        if scores[name] > best:
            front.append(name)
            best = scores[name]
    return front


def chooser(questions):
    """Sliders that switch each step on or off, and the right answers to both kinds of question, and the recall.

    questions: {"described", "named": tuple of development questions}. Returns a widget.
    """
    designs = {family: ablation.design(asked) for family, asked in questions.items()}

    def show(**switched):
        plan = frozenset(name for name, state in zip(system.STEPS, switched.values(), strict=True) if state == "on")
        bars = {"guess by name": 0.5}
        for family in questions:
            bars[f"{family} questions"] = evaluation.mean(ablation.chances(plan, family), **designs[family])
        asked = questions["described"]
        hits = system.found(plan & system.SEARCHING, asked) == system.right_documents(asked)[:, None]
        title = " + ".join(name for name in system.STEPS if name in plan) or "the guide's settings"
        told = ", ".join(f"recall@{k} {hits[:, :k].any(axis=1).mean():.2f}" for k in (1, 3, 10))
        drawn = plots.bars(bars, title, "share of right answers")
        drawn.axes[0].set_xlim(0, 1.1)
        return drawn, f"described questions: {told}"

    return widgets.explorer({name: ("off", "on") for name in system.STEPS}, show)
