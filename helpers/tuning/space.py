"""What may be tried: a space is a dict of names and dimensions.

    {"learning_rate": LogUniform(1e-4, 1e-1), "width": Choice((16, 64, 256)), "dropout": Uniform(0, 0.8)}

Every dimension maps a share u in [0, 1] to a value (`at`) and back (`share`), and knows its
counterpart in hyperopt. A dimension that spans orders of magnitude is log-uniform: uniform
draws from 0.0001 to 0.1 lie above 0.01 nine times out of ten.
"""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Uniform:
    """A number from `low` to `high`, every value equally likely."""

    low: float
    high: float

    def __post_init__(self):
        _check_bounds(self)

    def at(self, u):
        return float(self.low + u * (self.high - self.low))

    def share(self, value):
        return (value - self.low) / (self.high - self.low)

    def grid(self, points):
        return [self.at(u) for u in _shares(points)]

    def hyperopt(self, label):
        return _hp().uniform(label, self.low, self.high)


@dataclass(frozen=True)
class LogUniform:
    """A positive number whose logarithm is uniform: each order of magnitude is equally likely."""

    low: float
    high: float

    def __post_init__(self):
        _check_bounds(self)
        if self.low <= 0:
            raise ValueError(f"low of LogUniform must be above 0, got {self.low}: 0 has no logarithm")

    def at(self, u):
        return float(np.clip(self.low * (self.high / self.low) ** u, self.low, self.high))

    def share(self, value):
        return math.log(value / self.low) / math.log(self.high / self.low)

    def grid(self, points):
        return [self.at(u) for u in _shares(points)]

    def hyperopt(self, label):
        return _hp().loguniform(label, math.log(self.low), math.log(self.high))


@dataclass(frozen=True)
class Integer:
    """A whole number from `low` to `high`, both included."""

    low: int
    high: int

    def __post_init__(self):
        _check_bounds(self)

    def at(self, u):
        return int(min(self.low + math.floor(u * (self.high - self.low + 1)), self.high))

    def share(self, value):
        return (value - self.low) / (self.high - self.low)

    def grid(self, points):
        return sorted({round(self.low + u * (self.high - self.low)) for u in _shares(points)})

    def hyperopt(self, label):
        return _hp().uniformint(label, self.low, self.high)


@dataclass(frozen=True)
class Choice:
    """One of several options, equally likely. A model of the scores takes their order as meant."""

    options: tuple

    def __post_init__(self):
        if len(self.options) == 0:
            raise ValueError("options of Choice is empty: there is nothing to choose")

    def at(self, u):
        return self.options[min(int(u * len(self.options)), len(self.options) - 1)]

    def share(self, value):
        return self.options.index(value) / max(1, len(self.options) - 1)

    def grid(self, points):
        return list(self.options)

    def hyperopt(self, label):
        return _hp().choice(label, self.options)


DIMENSIONS = (Uniform, LogUniform, Integer, Choice)


def sample(space, generator):
    """Settings drawn at random: a dict with a value for each dimension."""
    return {name: dimension.at(generator.random()) for name, dimension in space.items()}


def grid(space, points):
    """The values of a grid: {name: list}, `points` for each dimension, all options of a `Choice`.

    points: at least 2, so that both ends of every dimension are in the grid.
    """
    if points < 2:
        raise ValueError(f"points must be at least 2 a dimension, its two ends; got {points}")
    return {name: dimension.grid(points) for name, dimension in check_space(space).items()}


def check_space(space):
    """The space itself, or a ValueError that says what is wrong with it."""
    if not isinstance(space, dict) or not space:
        raise ValueError(f"space must be a dict such as {{'temperature': Uniform(0, 1)}} with an entry, got {space!r}")
    for name, dimension in space.items():
        if not isinstance(dimension, DIMENSIONS):
            known = ", ".join(kind.__name__ for kind in DIMENSIONS)
            raise ValueError(f"space[{name!r}] must be one of {known}, got {dimension!r}")
    return space


def _check_bounds(dimension):
    low, high = dimension.low, dimension.high
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"{type(dimension).__name__} needs finite low < high, got {low} and {high}")


def _shares(points):
    return [i / (points - 1) for i in range(points)]


def _hp():
    from hyperopt import hp

    return hp
