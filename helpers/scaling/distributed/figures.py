"""The lesson's figures; each takes data and returns a Figure."""

import matplotlib as mpl
import numpy as np

from ... import plots
from . import model, recorded

NETWORKS = {  # bytes a second that a rank sends; the first was measured here
    "this machine": None,
    "10 Gbit/s Ethernet": 1.25e9,
    "PCIe, 10 GB/s": 1e10,
    "NVLink, 100 GB/s": 1e11,
}


def sizes(points, batch, title):
    """Speed of one core and of all ranks beside one process with all cores, over the size of the model.

    points: of `recorded.steps`; those with this batch are shown. Bars are intervals over rounds.
    """
    made, axis = plots.figure(title)
    shown = [point for point in points if point["batch"] == batch]
    numbers = np.array([point["numbers"] for point in shown]) / 1e6
    arms = {"two ranks, a core each (DDP)": "ranks", "one process, one core": "share of cores"}
    with mpl.rc_context(plots.STYLE):
        axis.axhline(1, color="0.3", linestyle="--", label="one process, both cores")
        for (name, arm), marker, colour in zip(arms.items(), plots.MARKERS, plots.COLOURS):
            ratios = [recorded.ratio(point, "all cores", arm) for point in shown]
            middle = np.array([each.estimate for each in ratios])
            errors = np.abs(np.array([(each.low, each.high) for each in ratios]).T - middle)
            axis.errorbar(numbers, middle, errors, marker=marker, color=colour, label=name, capsize=3, markersize=8)
        axis.set(xscale="log", ylim=(0, 1.1), xlabel="parameters (millions)", ylabel="times as many steps a second")
        axis.xaxis.set_major_formatter(mpl.ticker.FormatStrFormatter("%g"))
        axis.legend(loc="lower right")
    return made


def predicted(numbers, alone, together, ranks, batch, network, worker=1.0):
    """Predicted speed-up over one worker if every rank brings `batch` texts of its own (weak scaling).

    numbers: parameters, a number or an array. alone, together: `model.Cost`s measured here. network: a key of
    `NETWORKS`. worker: how many times as fast as a core here a worker computes. Cores here also share their memory.
    """
    if network == "this machine" and worker == 1:
        compute, cost = together.worker(numbers, batch), together
    else:
        bandwidth = NETWORKS[network] or together.bandwidth
        compute = alone.worker(numbers, batch) / worker
        cost = model.Cost(0, 0, 0, together.latency if NETWORKS[network] is None else 2e-5, bandwidth)
    return ranks * alone.worker(numbers, batch) / worker / (compute + cost.all_reduce(numbers, ranks))


def explored(points, alone, together, ranks, millions, network, worker, batch=128):
    """The prediction as a line over model sizes, a size of it ringed, and what was measured with two ranks here.

    Returns a figure and a sentence.
    """
    made, axis = plots.figure(f"{ranks} ranks, {network}, {batch} texts on each: predicted, not measured")
    line = np.geomspace(1e5, 1e9, 60)
    speed = predicted(line, alone, together, ranks, batch, network, worker)
    chosen = float(predicted(millions * 1e6, alone, together, ranks, batch, network, worker))
    shown = [point for point in points if point["batch"] == 2 * batch]
    measured = [2 * recorded.ratio(point, "share of cores and batch").estimate for point in shown]
    with mpl.rc_context(plots.STYLE):
        axis.plot(line / 1e6, speed, color=plots.COLOURS[0], label=f"predicted, {ranks} ranks")
        axis.plot(millions, chosen, "o", markersize=16, mfc="none", mec=plots.COLOURS[1], mew=3)
        axis.plot([p["numbers"] / 1e6 for p in shown], measured, "s", color=plots.COLOURS[2], markersize=8,
                  label="measured, 2 ranks on this course's machine")  # fmt: skip
        axis.axhline(1, color="0.3", linestyle="--", label="one worker")
        axis.set(xscale="log", xlabel="parameters (millions)", ylabel="speed-up over one worker", ylim=(0, None))
        axis.xaxis.set_major_formatter(mpl.ticker.FormatStrFormatter("%g"))
        axis.legend(loc="best")
    return made, (f"Predicted for {millions:g} million parameters: {chosen:.1f} times one worker, "
                  f"{100 * chosen / ranks:.0f} % of {ranks}.")  # fmt: skip
