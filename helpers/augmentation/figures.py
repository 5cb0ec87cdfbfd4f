"""The lesson's own figures; those that other lessons share are in `helpers.plots`."""

import matplotlib as mpl
import numpy as np

from .. import plots
from .gate import REASONS


def gate(checked, title):
    """What the gate does with each method's variants: a stacked bar a method.

    checked: {method: list of `gate.Checked`}.
    """
    made, axis = plots.figure(title, width=9, height=1.4 + 0.45 * len(checked))
    with mpl.rc_context(plots.STYLE):
        left = np.zeros(len(checked))
        for reason, colour, hatch in zip(REASONS, plots.COLOURS, plots.HATCHES, strict=False):
            shares = np.array([np.mean([one.reason == reason for one in each]) for each in checked.values()])
            axis.barh(range(len(checked)), shares, left=left, color=colour, hatch=hatch, height=0.65, label=reason)
            left += shares
        axis.set_yticks(range(len(checked)), list(checked))
        axis.invert_yaxis()
        axis.set(xlabel="share of variants", xlim=(0, 1))
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return made


def worth(sizes, losses, points, title):
    """The learning curve on real documents, and arms at the number of rows that they claim.

    losses: float array (sizes, seeds). points: {name: (rows, log loss)}.
    """
    made, axis = plots.figure(title)
    with mpl.rc_context(plots.STYLE):
        axis.plot(sizes, losses.mean(axis=1), color=plots.COLOURS[0], marker="o", label="real documents")
        axis.fill_between(sizes, losses.min(axis=1), losses.max(axis=1), color=plots.COLOURS[0], alpha=0.2)
        for (name, (rows, loss)), marker, colour in zip(
            points.items(), plots.MARKERS[1:], plots.COLOURS[1:], strict=False
        ):
            axis.plot(rows, loss, marker, color=colour, markersize=12, label=name)
        axis.set_xscale("log")
        axis.set_xticks(sizes, [str(size) for size in sizes])
        axis.minorticks_off()
        axis.set(xlabel="rows to train on", ylabel="held-out log loss (nats)")
        axis.legend()
    return made


def crowding(panels, title, shown=20):
    """Which places of the first k say something new, for a few questions.

    panels: {name: int array (questions, k) of documents, best first}.
    """
    made, axes = plots.figure(title, len(panels), width=4 * len(panels), height=4.8, sharey=True)
    colours = mpl.colors.ListedColormap(["#BBBBBB", plots.COLOURS[1]])
    with mpl.rc_context(plots.STYLE):
        for axis, (name, found) in zip(np.atleast_1d(axes), panels.items(), strict=True):
            repeated = np.array([[d in row[:i] for i, d in enumerate(row)] for row in found[:shown].tolist()])
            axis.pcolormesh(repeated, cmap=colours, edgecolors="white", linewidth=2, vmin=0, vmax=1)
            axis.set(title=name, xlabel="place in the list")
            axis.set_xticks(np.arange(0, found.shape[1], 3) + 0.5, np.arange(1, found.shape[1] + 1, 3))
            axis.set_yticks([])
        np.atleast_1d(axes)[0].set_ylabel(f"{shown} questions")
        names = [
            mpl.patches.Patch(color=colours(i), label=label) for i, label in enumerate(("new", "a document again"))
        ]
        np.atleast_1d(axes)[-1].legend(handles=names, loc="upper left", bbox_to_anchor=(1, 1))
    return made
