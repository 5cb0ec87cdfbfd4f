"""The lesson's figures; the course's style is `helpers.plots`."""

import matplotlib as mpl
import numpy as np

from ... import plots
from .indexes import KINDS

STYLE_OF = dict(zip(KINDS, zip(plots.COLOURS, plots.MARKERS, strict=False), strict=False))  # the same in every figure


def recall_latency(curves, title, target=0.95, marked=(), tails=True):
    """Recall against the time of one query, relative to exact search.

    curves: {kind: list of `Point`}, with "Flat" among them; its median time is 1. The line is the
    median query, the dotted one the slowest of a hundred. marked: points to ring.
    """
    made, axis = plots.figure(title, height=5)
    unit = curves["Flat"][0].p50
    with mpl.rc_context(plots.STYLE):
        for name, points in curves.items():
            colour, marker = STYLE_OF[name]
            recall = [p.recall.estimate for p in points]
            axis.plot([p.p50 / unit for p in points], recall, marker=marker, color=colour, label=name)
            if tails and name != "Flat":
                axis.plot([p.p99 / unit for p in points], recall, ":", color=colour, linewidth=1.5)
            for p in points:
                axis.plot([p.p50 / unit] * 2, [p.recall.low, p.recall.high], color=colour, linewidth=1)
        for p in marked:
            axis.plot(p.p50 / unit, p.recall.estimate, "o", markersize=18, mfc="none", mec="black", mew=2)
        axis.axhline(target, color="0.4", linestyle="--", linewidth=1.5)
        axis.text(
            0, target, f" recall {target}", transform=axis.get_yaxis_transform(), va="bottom", color="0.3", fontsize=11
        )
        axis.set_xscale("log")
        axis.set(xlabel="time of one query, as a share of exact search", ylabel="recall@10")
        axis.legend(loc="lower right")
    return made


def growth(series, title, ylabel):
    """Measured values over n, each over its first one, beside lines in proportion to n, √n and log n.

    series: {kind: {n: value}}, all from the same smallest n on.
    """
    made, axis = plots.figure(title, height=5)
    n = np.array(sorted(set().union(*series.values())), dtype=float)
    with mpl.rc_context(plots.STYLE):
        for label, law in (("∝ n", n), ("∝ √n", np.sqrt(n)), ("∝ log n", np.log(n))):
            axis.plot(n, law / law[0], color="0.6", linestyle="--", linewidth=1.5)
            axis.text(n[-1], law[-1] / law[0], f" {label}", color="0.4", va="center", fontsize=12)
        for name, own in series.items():
            colour, marker = STYLE_OF[name]
            values = np.array(list(own.values()))
            axis.plot(list(own), values / values[0], marker=marker, color=colour, label=name)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set(xlabel="number of vectors n", ylabel=ylabel, xlim=(None, n[-1] * 3))
        axis.legend(loc="upper left")
    return made
