"""The lesson's figures. Every function takes data and returns a Figure."""

import matplotlib as mpl
import numpy as np

from .. import plots
from .day import HOURS, INCIDENT


def panels(title, rows, columns, width=11, height=6.2):
    """A figure with a grid of axes in the course's style: (figure, flat array of axes)."""
    with mpl.rc_context(plots.STYLE):
        made = plots.Figure(figsize=(width, height), dpi=plots.STYLE["figure.dpi"], layout="constrained")
        axes = made.subplots(rows, columns)
        made.suptitle(title, x=0.01, ha="left", fontsize=plots.STYLE["axes.titlesize"])
    return made, axes.ravel()


def rates(ringing, true):
    """(false-alarm rate, miss rate) of alarms: bool arrays (runs,)."""
    return float(ringing[~true].mean()), float((~ringing[true]).mean())


def alarm_curves(scores, true, marks, title):
    """Miss rate over false-alarm rate as a threshold moves: the lower left corner is a perfect alarm.

    scores: {alarm: float (runs,)}, which rings above a threshold. true: bool (runs,). marks:
    {name: (false-alarm rate, miss rate)} of single alarms.
    """
    made, axis = plots.figure(title, width=7.5, height=5)
    with mpl.rc_context(plots.STYLE):
        axis.plot([0, 1], [1, 0], color="0.6", linestyle="--", label="a coin")
        for (name, score), colour in zip(scores.items(), plots.COLOURS, strict=False):
            curve = np.array([rates(score > t, true) for t in [-np.inf, *np.sort(score)]])
            axis.plot(curve[:, 0], curve[:, 1], label=name, color=colour)
        for (name, point), marker in zip(marks.items(), plots.MARKERS, strict=False):
            axis.plot(*point, marker, color="black", markersize=9, label=name)
        axis.set(xlabel="false alarms, share of sound runs", ylabel="misses, share of fallen runs")
        axis.legend(fontsize=11, loc="upper left", bbox_to_anchor=(1, 1))
    made.set_size_inches(10, 5)
    return made


def alarm_at(score, true, threshold, title, xlabel):
    """Histograms of an alarm's reading in sound and in fallen runs, and its threshold."""
    made, axis = plots.figure(title, width=8, height=4)
    with mpl.rc_context(plots.STYLE):
        edges = np.linspace(score.min(), score.max(), 25)
        for name, chosen, colour, hatch in (("sound", ~true, 0, ""), ("fallen", true, 1, "//")):
            axis.hist(score[chosen], edges, alpha=0.6, label=name, color=plots.COLOURS[colour], hatch=hatch)
        axis.axvline(threshold, color="black", linestyle="--", label="rings to the right")
        axis.set(xlabel=xlabel, ylabel="runs")
        axis.legend()
    return made


DASHBOARD = (
    ("top score", "mean best cosine", (0, 0.7)),
    ("empty", "share of empty results", (0, 1)),
    ("cache hits", "cache hit rate", (0, 1)),
    ("golden recall", "golden set, recall@10", (0, 0.7)),
    ("drift", "drift of the vectors, p-value", None),
)


def dashboard(signals, title, until=HOURS):
    """Six panels over the hours of a day, as an operator sees them.

    signals: one scenario of `day.day`. until: hours shown. Latencies are multiples of the first hour's p50.
    """
    made, axes = panels(title, 2, 3)
    hours = np.arange(until)
    with mpl.rc_context(plots.STYLE):
        for axis, (name, label, limits) in zip(axes, DASHBOARD, strict=False):
            axis.plot(hours, signals[name][:until], color=plots.COLOURS[0], marker="o", markersize=4)
            axis.set_title(label, fontsize=12)
            axis.set_ylim(limits) if limits else axis.set(yscale="log", ylim=(5e-4, 1.5))
        for name, colour, marker in zip(("p50", "p95", "p99"), plots.COLOURS, plots.MARKERS, strict=False):
            scaled = np.array(signals[name][:until]) / signals["p50"][0]
            axes[5].plot(hours, scaled, label=name, color=colour, marker=marker, markersize=4)
        axes[5].set_title("latency, × the first hour's p50", fontsize=12)
        axes[5].set(yscale="log", ylim=(0.5, 300))
        axes[5].legend(fontsize=10, ncols=3, loc="upper left")
        for axis in axes:
            axis.set(xlim=(-0.5, HOURS - 0.5), xticks=range(0, HOURS, 6))
        for axis in axes[3:]:
            axis.set_xlabel("hour of the day")
    return made


def by_cache(signals, title):
    """Empty results of requests whose vector came from the cache, and of the others, over the hours."""
    made, axis = plots.figure(title, width=8, height=4)
    with mpl.rc_context(plots.STYLE):
        for name, label, colour, marker in (
            ("empty of hits", "vector from the cache", 1, "o"),
            ("empty of misses", "vector computed anew", 0, "s"),
        ):
            axis.plot(range(HOURS), signals[name], label=label, color=plots.COLOURS[colour], marker=marker)
        axis.axvline(INCIDENT - 0.5, color="0.4", linestyle=":")
        axis.set(xlabel="hour of the day", ylabel="share of empty results", ylim=(-0.02, 1), xticks=range(0, HOURS, 3))
        axis.legend(loc="upper left")
    return made


def with_intervals(x, series, title, xlabel, ylabel, reference=None):
    """Lines over x with an interval at each point.

    series: {name: list of evaluation.Interval}. reference: (label, height) of a dashed line.
    """
    made, axis = plots.figure(title, width=8, height=4.5)
    with mpl.rc_context(plots.STYLE):
        for (name, values), colour, marker in zip(series.items(), plots.COLOURS, plots.MARKERS, strict=False):
            middle = np.array([v.estimate for v in values])
            ends = np.array([[v.estimate - v.low, v.high - v.estimate] for v in values]).T
            axis.errorbar(x, middle, np.abs(ends), label=name, color=colour, marker=marker, capsize=4)
        if reference:
            axis.axhline(reference[1], color="0.4", linestyle="--", label=reference[0])
        axis.set(xlabel=xlabel, ylabel=ylabel, ylim=(-0.02, 1.02))
        axis.legend(fontsize=11)
    return made
