"""The lesson's figures and widgets: each takes what was measured."""

import matplotlib as mpl
import numpy as np

from .. import plots
from ..assistant import sampling
from ..course import widgets


def curves(by_method, title, ylabel="best score so far", xlabel="trials", step=1, bottom=None):
    """Best score so far: the median over seeds, and a band from the first to the third quartile.

    by_method: {name: float array (seeds, points)}. step: trials between points. bottom: where the y-axis begins.
    """
    made, axis = plots.figure(title, width=9)
    with mpl.rc_context(plots.STYLE):
        for (name, values), marker in zip(by_method.items(), plots.MARKERS):
            trials = step * np.arange(1, values.shape[1] + 1)
            low, middle, high = np.quantile(values, (0.25, 0.5, 0.75), axis=0)
            (line,) = axis.plot(trials, middle, label=name, marker=marker, markevery=max(1, len(trials) // 8))
            axis.fill_between(trials, low, high, alpha=0.15, color=line.get_color())
        axis.set(xlabel=xlabel, ylabel=ylabel)
        axis.set_ylim(bottom=bottom)
        axis.legend()
    return made


def heatmaps(tables, rows, columns, title, row_label, column_label, within=0.0):
    """Several tables of scores side by side, the cells within `within` of the best of each framed.

    tables: {panel's name: float array (rows, columns)}.
    """
    made, axes = plots.figure(title, len(tables), width=5.2 * len(tables), height=4.8)
    with mpl.rc_context(plots.STYLE):
        for axis, (name, table) in zip(np.atleast_1d(axes), tables.items()):
            axis.imshow(table, cmap="cividis", aspect="auto", origin="lower")
            middle = (table.min() + table.max()) / 2
            for (row, column), value in np.ndenumerate(table):
                colour = "black" if value > middle else "white"
                axis.text(column, row, f"{value:.2f}".lstrip("0"), ha="center", va="center", color=colour, fontsize=9)
            for row, column in np.argwhere(table >= table.max() - within):
                corner = (column - 0.46, row - 0.46)
                axis.add_patch(mpl.patches.Rectangle(corner, 0.92, 0.92, fill=False, color="red", linewidth=2))
            axis.set_xticks(range(len(columns)), [f"{value:g}" for value in columns], fontsize=10)
            axis.set_yticks(range(len(rows)), [f"{value:g}" for value in rows], fontsize=10)
            axis.set(title=name, xlabel=column_label, ylabel=row_label)
    return made


def histograms(by_name, title, xlabel, reference=None):
    """Distributions over repetitions, one above the other. reference: (label, value) of a dashed line."""
    made, axis = plots.figure(title, width=8.5)
    with mpl.rc_context(plots.STYLE):
        together = np.concatenate(list(by_name.values()))
        bins = np.linspace(together.min(), together.max(), 40)
        for (name, values), hatch in zip(by_name.items(), plots.HATCHES):
            axis.hist(values, bins, alpha=0.55, label=name, hatch=hatch)
        if reference:
            axis.axvline(reference[1], color="black", linestyle="--", label=reference[0])
        axis.set(xlabel=xlabel, ylabel="repetitions")
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return made


def surrogate(x, mean, deviation, improvement, tried, scores, title, xlabel="temperature", ylabel="pass@5"):
    """A surrogate's mean and two deviations around it, the trials it saw, and beside it the expected improvement."""
    made, (left, right) = plots.figure(title, 2, width=11)
    with mpl.rc_context(plots.STYLE):
        left.plot(x, mean, label="expected score")
        left.fill_between(x, mean - 2 * deviation, mean + 2 * deviation, alpha=0.2, label="± 2 deviations")
        left.plot(tried, scores, "o", color="black", label="trials so far")
        left.set(xlabel=xlabel, ylabel=ylabel)
        left.legend(loc="lower left", fontsize=11)
        right.plot(x, improvement, color=plots.COLOURS[1])
        right.axvline(x[improvement.argmax()], color="0.3", linestyle="--", label="next trial")
        right.set(xlabel=xlabel, ylabel="expected improvement")
        right.legend()
    return made


def next_token_widget(language_model, prompt, following="=", shown=10):
    """Sliders for temperature and top_p over the real distribution of the next token."""
    logits, _ = language_model.read(language_model.tokens(prompt) + language_model.tokens(following))
    logits = logits.numpy()
    best = np.argsort(-logits)[:shown]

    def show(temperature, top_p):
        p = sampling.distribution(logits, temperature, top_p)
        rows = {repr(language_model.vocabulary[i]): float(p[i]) for i in best}
        title = f"temperature {temperature:g}, top_p {top_p:g}: {np.count_nonzero(p):,} tokens can follow"
        return plots.bars(rows, title, "probability of the next token")

    tenths, twentieths = (np.arange(0, 21) / 10).tolist(), (np.arange(1, 21) / 20).tolist()
    return widgets.explorer({"temperature": tenths, "top_p": twentieths}, show, temperature=1.0, top_p=1.0)


def curves_widget(by_method, ylabel="best score so far"):
    """Choose a seed and see each method's best score so far, among the curves of all its seeds."""

    def show(method, seed):
        chosen = by_method if method == "all" else {method: by_method[method]}
        leader = max(chosen, key=lambda name: chosen[name][seed, -1])
        made, axis = plots.figure(f"Seed {seed}: {leader} ends highest", width=8.5)
        with mpl.rc_context(plots.STYLE):
            for (name, values), marker in zip(chosen.items(), plots.MARKERS):
                trials, colour = np.arange(1, values.shape[1] + 1), plots.COLOURS[list(by_method).index(name)]
                axis.plot(trials, values.T, color=colour, linewidth=0.6, alpha=0.3)
                axis.plot(trials, values[seed], color=colour, label=name, marker=marker, markevery=5)
            axis.set(xlabel="trials", ylabel=ylabel)
            axis.legend(loc="lower right")
        return made

    seeds = range(min(len(values) for values in by_method.values()))
    return widgets.explorer({"method": ("all", *by_method), "seed": seeds}, show)
