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

    points: of `recorded.steps`; those with this batch are shown. Bars are intervals over starts.
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
        ylabel = "speed, where one process\nwith both cores is 1"
        axis.set(xscale="log", ylim=(0, 1.1), xlabel="parameters (millions)", ylabel=ylabel)
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


def explored(points, alone, together, ranks, millions, network, worker, batch=128, cores=2):
    """The prediction as a line over model sizes, a size of it ringed, and what was measured with two ranks here.

    Dotted where no such size was measured. More ranks than cores, or faster cores, are not predicted for
    "this machine".
    Returns a figure and a sentence.
    """
    note = ""
    if network == "this machine" and (ranks > cores or worker != 1):
        ranks, worker, note = min(ranks, cores), 1, f" (This machine has {cores} cores of one speed: choose a network.)"
    made, axis = plots.figure(f"{ranks} ranks, {network}, {batch:,} texts on each: predicted, not measured")
    shown = [point for point in points if point["batch"] == 256]
    sizes = [point["numbers"] / 1e6 for point in shown]
    chosen = float(predicted(millions * 1e6, alone, together, ranks, batch, network, worker))
    with mpl.rc_context(plots.STYLE):
        inside, beyond = np.geomspace(0.1, sizes[-1], 40), np.geomspace(sizes[-1], 1000, 20)
        for line, style, label in ((inside, "-", f"predicted, {ranks} ranks"), (beyond, ":", None)):
            speed = predicted(line * 1e6, alone, together, ranks, batch, network, worker)
            axis.plot(line, speed, style, color=plots.COLOURS[0], label=label)
        axis.plot(millions, chosen, "o", markersize=16, mfc="none", mec=plots.COLOURS[1], mew=3)
        measured = [2 * recorded.ratio(point, "share of cores and batch").estimate for point in shown]
        axis.plot(sizes, measured, "s", color=plots.COLOURS[2], markersize=8, label="measured: 2 ranks, 128 texts each")
        axis.axhline(1, color="0.3", linestyle="--", label="one worker")
        axis.set(xscale="log", xlabel="parameters (millions)", ylabel="speed-up over one worker", ylim=(0, None))
        axis.xaxis.set_major_formatter(mpl.ticker.FormatStrFormatter("%g"))
        axis.legend(loc="upper left", bbox_to_anchor=(0, -0.18), ncols=3, fontsize=11)
    return made, (f"Predicted for {millions:g} million parameters: {chosen:.1f} times one worker, "
                  f"{100 * chosen / ranks:.0f} % of {ranks}.{note}")  # fmt: skip
