"""A step's time as a formula: Amdahl's serial part, what is shared out, and what an all-reduce costs."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

BYTES = 4  # of a gradient's number, float32


def amdahl(serial, ranks):
    """Speed-up of `ranks` workers if a share `serial` of the work cannot be divided. Source: Amdahl 1967, AFIPS."""
    if not 0 <= serial <= 1:
        raise ValueError(f"serial must be a share from 0 to 1, got {serial}")
    return 1 / (serial + (1 - serial) / np.asarray(ranks))


def bytes_sent(numbers, ranks):
    """Bytes that each rank sends in a ring all-reduce of a float32 gradient of `numbers`: 2 (N − 1) / N of it."""
    return 2 * (ranks - 1) / ranks * BYTES * numbers


def needed_share(speedup, ranks):
    """The most that an all-reduce may take, as a share of one worker's whole step, to reach a strong-scaling speed-up.

    For a step that divides perfectly otherwise, and nothing sent while it computes.
    Raises ValueError if the speed-up is more than `ranks`.
    """
    if not 0 < speedup <= ranks:
        raise ValueError(f"speedup must be above 0 and at most {ranks}, the ranks; got {speedup}")
    return 1 / speedup - 1 / ranks


@dataclass(frozen=True)
class Cost:
    """Seconds of a data-parallel step. Sources: Amdahl 1967; Thakur, Rabenseifner & Gropp 2005, IJHPCA 19(1).

    fixed: of every step. per_number: for each parameter, whatever the batch (reading weights, the optimizer).
    per_product: for each parameter and text. latency: of a message. bandwidth: bytes a second between neighbours.
    """

    fixed: float
    per_number: float
    per_product: float
    latency: float = 0.0
    bandwidth: float = float("inf")

    def worker(self, numbers, batch):
        """Seconds of one worker for a step of `batch` texts, nothing sent."""
        return self.fixed + numbers * (self.per_number + self.per_product * batch)

    def all_reduce(self, numbers, ranks):
        """Seconds of 2 (N − 1) messages in a ring, of an Nth of the gradient each."""
        return 2 * (ranks - 1) * self.latency + bytes_sent(numbers, ranks) / self.bandwidth

    def step(self, numbers, batch, ranks):
        """Seconds of a step whose `batch` is shared out; nothing is sent while it computes."""
        return self.worker(numbers, batch / ranks) + self.all_reduce(numbers, ranks)

    def serial(self, numbers, batch):
        """Amdahl's share: of one worker's step, what another worker would have to do as well."""
        return self.worker(numbers, 0) / self.worker(numbers, batch)

    def speedup(self, numbers, batch, ranks, weak=False):
        """How many times as many texts a second as one worker. weak: `batch` is each rank's, not that of all."""
        if weak:
            return ranks * self.worker(numbers, batch) / self.step(numbers, ranks * batch, ranks)
        return self.worker(numbers, batch) / self.step(numbers, batch, ranks)


def fit_worker(points):
    """The `Cost` of computing that fits best, in relative terms. points: list of (numbers, batch, seconds)."""
    numbers, batch, seconds = (np.array(column, dtype=float) for column in zip(*points, strict=True))
    return Cost(*_relative([np.ones_like(numbers), numbers, numbers * batch], seconds))


def fit_messages(points, ranks):
    """(latency, bandwidth) that fit best, in relative terms. points: list of (numbers, seconds) of an all-reduce."""
    numbers, seconds = (np.array(column, dtype=float) for column in zip(*points, strict=True))
    latency, per_byte = _relative([np.full_like(numbers, 2 * (ranks - 1)), bytes_sent(numbers, ranks)], seconds)
    return latency, 1 / per_byte


def _relative(columns, seconds):
    "Least squares of relative errors; no cost is below zero."
    if len(seconds) < len(columns):
        raise ValueError(f"points must be at least {len(columns)}, as many as there are costs; got {len(seconds)}")
    scale = [np.linalg.norm(column / seconds) for column in columns]  # for a problem of like numbers
    found, _ = nnls(np.stack([c / seconds / s for c, s in zip(columns, scale)], axis=1), np.ones_like(seconds))
    return [float(x / s) for x, s in zip(found, scale)]


def fit(rows, ranks):
    """Two `Cost`s from measured steps: of one worker that is alone, and of all at once.

    rows: list of dicts, "numbers", "batch" (of a step, over all ranks), and the median seconds of each arm of
    `measuring.step_seconds`. The second is fitted to its parts, compute, optimizer and all-reduce, never to a whole
    step of DDP, so that a whole step can test it.
    """
    alone = [(r["numbers"], r["batch"], r["share of cores"]) for r in rows]
    alone += [(r["numbers"], r["batch"] / ranks, r["share of cores and batch"]) for r in rows]
    parts = [(r["numbers"], r["batch"] / ranks, r["compute"] + r["optimizer"]) for r in rows]
    messages = fit_messages([(r["numbers"], r["all-reduce"]) for r in rows], ranks)
    together = fit_worker(parts)
    return fit_worker(alone), Cost(together.fixed, together.per_number, together.per_product, *messages)


def left_out(rows, ranks):
    """Each row's step of all ranks as predicted from the other rows, over its measurement: a list of ratios."""
    found = []
    for row in rows:
        _, cost = fit([other for other in rows if other is not row], ranks)
        found.append(float(cost.step(row["numbers"], row["batch"], ranks) / row["ranks"]))
    return found
