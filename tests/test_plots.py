import numpy as np
import pytest

from helpers import evaluation, plots
from helpers.course import widgets


def drawn(figure):
    return figure.axes[0]


def test_lines_draws_the_mean_and_the_band_of_the_seeds():
    curves = {"a": np.array([[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]]), "b": [0.0, 1.0, 2.0]}
    axis = drawn(plots.lines([1, 2, 3], curves, "title", "epoch", "loss", marks=[("here", 2)]))
    assert [line.get_ydata().tolist() for line in axis.lines[:2]] == [[2, 3, 4], [0, 1, 2]]
    assert len(axis.collections) == 1  # one band: a single seed has none
    assert axis.get_xlabel() == "epoch" and axis.get_legend() is not None


@pytest.mark.parametrize(("x", "scale"), [([0, 0.1, 1], "symlog"), ([0.01, 0.1, 1], "log")])
def test_a_zero_has_its_place_on_a_logarithmic_axis(x, scale):
    axis = drawn(plots.lines(x, {"a": [1, 2, 3]}, "title", "x", "y", logarithmic=True))
    assert axis.get_xscale() == scale and axis.get_legend() is None


def test_differences_fills_only_what_excludes_zero():
    rows = {"clear": evaluation.Interval(2, 1, 3), "open": evaluation.Interval(1, -1, 3)}
    points = [line for line in drawn(plots.differences(rows, "title", "x")).lines if line.get_marker() == "o"]
    assert [point.get_markerfacecolor() for point in points] == [plots.COLOURS[0], "white"]


def test_explorer_shows_what_is_chosen_and_follows_the_sliders():
    shown = []

    def show(size, noise):
        shown.append((size, noise))
        return plots.bars({"a": size}, "title", "x"), f"noise {noise}"

    box = widgets.explorer({"size": (1, 2, 3), "noise": (0.0, 0.4)}, show, noise=0.4)
    assert shown == [(1, 0.4)]
    box.children[0].value = 3
    assert shown[-1] == (3, 0.4)
    outputs = box.children[-1].outputs
    assert len(outputs) == 2 and "image/png" in outputs[0]["data"] and outputs[1]["text"] == "noise 0.4\n"
