"""One figure style for the whole course. Every function takes data and returns a Figure."""

import base64
import io

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure as MatplotlibFigure

# Okabe & Ito's palette: told apart with every kind of colour vision, and in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
HATCHES = ("", "//", "..", "xx", "\\\\", "oo", "--")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

STYLE = {
    "figure.figsize": (8, 4.5),
    "figure.dpi": 110,
    "font.size": 13,
    "axes.titlesize": 14,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": mpl.cycler(color=COLOURS),
    "lines.linewidth": 2,
    "legend.frameon": False,
}


class Figure(MatplotlibFigure):
    """A figure that a notebook shows without pyplot; its title is also its text and its alternative text."""

    def __repr__(self):
        return f"Figure: {self.get_suptitle()}"

    def _repr_mimebundle_(self, include=None, exclude=None):
        stream = io.BytesIO()
        self.savefig(stream, format="png")
        title = self.get_suptitle()
        encoded = base64.b64encode(stream.getvalue()).decode()  # as text, so that a widget can show it too
        return {"image/png": encoded, "text/plain": repr(self)}, {"image/png": {"alt": title}}


def figure(title, columns=1, width=8, height=4.5, sharey=False):
    """A `Figure` and its axes, in the course's style; the title states what the figure shows."""
    with mpl.rc_context(STYLE):
        made = Figure(figsize=(width, height), dpi=STYLE["figure.dpi"], layout="constrained")
        axes = made.subplots(1, columns, sharey=sharey)
        made.suptitle(title, x=0.01, ha="left", fontsize=STYLE["axes.titlesize"])
        return made, axes


def learning_curves(histories, title):
    """Loss on training and held-out texts over the epochs, one panel a training-set size.

    histories: {panel's name: training.History}. The line is the mean over seeds, the band
    from the lowest to the highest seed.
    """
    made, axes = figure(title, len(histories), width=4 * len(histories), sharey=True)
    with mpl.rc_context(STYLE):
        for axis, (name, history) in zip(np.atleast_1d(axes), histories.items(), strict=True):
            for label, curves, marker in (
                ("training", history.train_loss, "o"),
                ("held out", history.held_out_loss, "s"),
            ):
                epochs = np.arange(1, curves.shape[1] + 1)
                (line,) = axis.plot(
                    epochs, curves.mean(axis=0), label=label, marker=marker, markevery=max(1, len(epochs) // 6)
                )
                axis.fill_between(epochs, curves.min(axis=0), curves.max(axis=0), alpha=0.2, color=line.get_color())
            best = int(history.held_out_loss.mean(axis=0).argmin())
            axis.axvline(best + 1, color="0.5", linestyle=":", linewidth=1.5)
            axis.set(title=name, xlabel="epoch")
        np.atleast_1d(axes)[0].set_ylim(bottom=0)
        np.atleast_1d(axes)[0].set_ylabel("log loss (nats)")
        np.atleast_1d(axes)[0].legend(loc="center right")
    return made


def lines(x, curves, title, xlabel, ylabel, logarithmic=False, marks=(), log_y=False):
    """Lines over x, with a band from the lowest to the highest seed.

    x: numbers (points,). curves: {name: float array (points,) or (seeds, points)}. logarithmic:
    the scale of x; a 0 on it stands at its left end. log_y: the scale of y. marks: (label, x) of vertical dotted lines.
    """
    made, axis = figure(title)
    x, linear_below = np.asarray(x, dtype=float), min((value for value in x if value > 0), default=1)
    with mpl.rc_context(STYLE):
        for (name, curve), marker, colour in zip(curves.items(), MARKERS, COLOURS, strict=False):
            seeds = np.atleast_2d(curve)
            axis.plot(x, seeds.mean(axis=0), label=name, marker=marker, color=colour, markevery=max(1, len(x) // 12))
            if len(seeds) > 1:
                axis.fill_between(x, seeds.min(axis=0), seeds.max(axis=0), alpha=0.2, color=colour)
        if logarithmic:
            axis.set_xscale("symlog", linthresh=linear_below) if x.min() <= 0 else axis.set_xscale("log")
        if log_y:
            axis.set_yscale("log")
        for label, place in marks:
            axis.axvline(place, color="0.4", linestyle=":", linewidth=1.5)
            axis.text(place, 1.0, f" {label}", transform=axis.get_xaxis_transform(), va="top", fontsize=11)
        axis.set(xlabel=xlabel, ylabel=ylabel)
        if len(curves) > 1:
            axis.legend()
    return made


def differences(rows, title, xlabel):
    """Estimates with their intervals beside a line at zero: filled where the interval excludes zero.

    rows: {name: evaluation.Interval}.
    """
    made, axis = figure(title, width=8.5, height=1.2 + 0.42 * len(rows))
    with mpl.rc_context(STYLE):
        axis.axvline(0, color="0.4", linestyle="--", linewidth=1.5)
        for position, value in enumerate(rows.values()):
            clear = value.low > 0 or value.high < 0
            axis.plot([value.low, value.high], [position] * 2, color=COLOURS[0])
            axis.plot(
                value.estimate, position, "o", markersize=9, color=COLOURS[0], mfc=COLOURS[0] if clear else "white"
            )
        axis.set_yticks(range(len(rows)), list(rows))
        axis.invert_yaxis()
        axis.set_xlabel(xlabel)
    return made


def bars(rows, title, xlabel, reference=None, numbers=".2f"):
    """Horizontal bars with intervals.

    rows: {name: evaluation.Interval, or a number}. reference: (label, value) of a dashed line.
    numbers: how the estimates are written beside the bars.
    """
    made, axis = figure(title, width=8.5, height=0.9 + 0.5 * len(rows))
    with mpl.rc_context(STYLE):
        for position, (_, value) in enumerate(rows.items()):
            estimate = getattr(value, "estimate", value)
            axis.barh(position, estimate, color=COLOURS[0], height=0.6)
            end = estimate
            if hasattr(value, "low"):
                axis.plot([value.low, value.high], [position] * 2, color="black", linewidth=2)
                end = value.high
            axis.text(end, position, f"  {estimate:{numbers}}", va="center")
        axis.set_yticks(range(len(rows)), list(rows))
        axis.invert_yaxis()
        axis.set(xlabel=xlabel, xlim=(0, None))
        if reference:
            label, value = reference
            axis.axvline(value, color=COLOURS[1], linestyle="--")
            axis.text(value, -0.75, label, color=COLOURS[1], ha="center", va="bottom", fontsize=11)
    return made


def grouped_bars(groups, title, ylabel, reference=None):
    """Vertical bars side by side.

    groups: {group: {series: evaluation.Interval or number}}; every group has the same series.
    """
    made, axis = figure(title, width=9)
    series = list(next(iter(groups.values())))
    width = 0.8 / len(series)
    with mpl.rc_context(STYLE):
        for s, name in enumerate(series):
            places = np.arange(len(groups)) + (s - (len(series) - 1) / 2) * width
            values = [group[name] for group in groups.values()]
            estimates = [getattr(value, "estimate", value) for value in values]
            axis.bar(places, estimates, width * 0.92, label=name, color=COLOURS[s], hatch=HATCHES[s])
            for place, value in zip(places, values, strict=True):
                if hasattr(value, "low"):
                    axis.plot([place, place], [value.low, value.high], color="black", linewidth=1.5)
        axis.set_xticks(range(len(groups)), list(groups))
        axis.set(ylabel=ylabel, ylim=(0, None))
        if reference:
            label, value = reference
            axis.axhline(value, color="0.3", linestyle="--", label=label)
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return made
