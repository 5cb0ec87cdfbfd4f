"""The lesson's figures and its widget. Every function takes data and returns a Figure, a table or a widget."""

import matplotlib as mpl
import numpy as np
import pandas as pd

from .. import plots
from ..course import widgets
from . import formulas

SIZES = np.geomspace(10, 1_000_000, 61)


def prescriptions(knob, title, ylabel, measured=None, log_y=True, size=None):
    """Every recommendation of the guide for a knob over the size, and what was measured.

    measured: {size: value}, or {size: (low, high)} for a range that is as good as the best. size: of a dotted line.
    """
    made, axis = plots.figure(title, width=8.5)
    names = dict.fromkeys(r.by for size in SIZES for r in formulas.recommendations(knob, size))
    with mpl.rc_context(plots.STYLE):
        for name, colour, marker in zip(names, plots.COLOURS[1:], plots.MARKERS[1:], strict=False):
            rows = [[r for r in formulas.recommendations(knob, size) if r.by == name] for size in SIZES]
            low, high = (np.array([getattr(row[0], end) if row else np.nan for row in rows]) for end in ("low", "high"))
            line = axis.plot(SIZES, (low + high) / 2, label=name, color=colour, marker=marker, markevery=12)
            if (high > low).any():
                axis.fill_between(SIZES, low, high, alpha=0.15, color=line[0].get_color())
        if measured:
            values = np.array([np.broadcast_to(value, 2) for value in measured.values()])
            spread = (values.max(axis=1) - values.min(axis=1)) / 2
            axis.errorbar(
                list(measured), values.mean(axis=1), spread, label="measured best", color=plots.COLOURS[0], marker="o",
                markersize=9, capsize=5, linewidth=2.5,
            )  # fmt: skip
        if size:
            axis.axvline(size, color="0.4", linestyle=":")
        axis.set(xscale="log", xlabel="data size", ylabel=ylabel)
        if log_y:
            axis.set_yscale("log")
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=11)
    return made


def legend_outside(made):
    """The same figure, its legend beside the axes instead of over the lines."""
    made.axes[0].legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=11)
    return made


def cosines(right, wrong, thresholds, title):
    """Histograms of the cosine of right and of wrong documents to their question, with the guide's thresholds."""
    made, axis = plots.figure(title)
    edges = np.linspace(-0.2, 1, 49)
    with mpl.rc_context(plots.STYLE):
        for values, label, colour, hatch in (
            (wrong, "other documents", plots.COLOURS[1], "//"),
            (right, "the right document", plots.COLOURS[0], ""),
        ):
            share = np.full(len(values), 100 / len(values))
            axis.hist(values, edges, weights=share, label=label, color=colour, hatch=hatch, alpha=0.6)
        for threshold in thresholds:
            axis.axvline(threshold, color="0.3", linestyle=":")
            axis.text(threshold, 1.0, f" {threshold}", transform=axis.get_xaxis_transform(), va="top", fontsize=11)
        axis.set(xlabel="cosine to the question", ylabel="share (%)")
        axis.legend(loc="center right")
    return made


def grid(values, rows, columns, title, row_label, column_label, marks=()):
    """A table of scores as a picture, numbers written in. marks: (row, column, what to write below)."""
    made, axis = plots.figure(title, width=9, height=1.6 + 0.45 * len(rows))
    with mpl.rc_context(plots.STYLE):
        shown = axis.imshow(values, cmap="cividis", aspect="auto")
        middle = (np.nanmin(values) + np.nanmax(values)) / 2
        named = {(row, column): text for row, column, text in marks}
        for (i, j), value in np.ndenumerate(values):
            note = named.get((rows[i], columns[j]), "")
            text = f"{value:.2f}" + (f"\n{note}" if note else "")
            axis.text(j, i, text, ha="center", va="center", fontsize=10, color="white" if value < middle else "black")
        axis.set_xticks(range(len(columns)), [f"{c:g}" for c in columns])
        axis.set_yticks(range(len(rows)), [f"{r:g}" for r in rows])
        axis.set(xlabel=column_label, ylabel=row_label)
        axis.spines[:].set_visible(False)
        made.colorbar(shown, ax=axis, label="score")
    return made


def explorer(measured, sizes=(10, 100, 1_000, 10_000, 100_000, 1_000_000)):
    """Sliders for a knob and a data size: the guide's prescriptions as figure and table, and what was measured.

    measured: {knob: {size: value}}. Returns a widget.
    """

    def show(knob, data_size):
        logarithmic = knob in ("top_k", "regularization", "embedding_dim")
        title = f"What the guide says of {knob}"
        drawn = prescriptions(knob, title, knob, measured[knob], logarithmic, data_size)
        return drawn, recommended_at(data_size, measured)

    return widgets.explorer({"knob": tuple(measured), "data_size": tuple(sizes)}, show, data_size=1_000)


def recommended_at(size, measured):
    """Every recommendation at one size, as a table: what the widget shows. measured: {knob: {size: value}}."""
    rows = []
    for knob in ("temperature", "top_k", "embedding_dim", "regularization", "dropout", "similarity_threshold"):
        known = measured.get(knob, {})
        nearest = min(known, key=lambda n: abs(np.log(n / size)), default=None)
        best = "–" if nearest is None else f"{known[nearest]} (at {nearest:,})"
        found = formulas.recommendations(knob, size)
        told = {r.by.partition(",")[0]: _plain(r) for r in reversed(found)}
        columns = {by: told.get(by, "") for by in ("formula", "table", "strategy", "example", "range", "part 1")}
        rows.append({"knob": knob} | columns | {"measured best": best})
    return pd.DataFrame(rows).set_index("knob").to_string()


def _plain(recommendation):
    return str(recommendation).partition(" (")[0]
